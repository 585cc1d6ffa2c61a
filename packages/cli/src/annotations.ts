// Rejections as annotations of GitHub's Actions: a workflow command a line, which the runner puts beside the source.
import type { Program, Rejected } from "@bpfkit/core";
import { placeOf, verdictOf } from "./verdict.ts";

/** A line for a rejected program; without a source line it names the object. */
export function githubAnnotation(file: string, program: Program, result: Rejected): string {
  const place = placeOf(program, result);
  const source = place?.source;
  const properties = Object.entries({
    file: source === undefined ? file : source.file.replace(/^(\.\/)+/, ""),
    line: source?.line,
    col: source === undefined || source.column === 0 ? undefined : source.column,
    title: `${program.name}: ${verdictOf(result)} by Linux ${result.kernel}`,
  }).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${property(`${value}`)}`]));
  const at = place === undefined ? "" : `\nat ${place.insn}: ${place.text}`;
  const advice = result.explanation.suggestion === "" ? "" : `\n${result.explanation.suggestion}`;
  const level = verdictOf(result) === "rejected" ? "error" : "warning";
  return `::${level} ${properties.join(",")}::${data(`${result.reason}${at}${advice}`)}`;
}

function data(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function property(text: string): string {
  return data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
