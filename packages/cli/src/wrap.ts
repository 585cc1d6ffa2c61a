// Prose in lines that a terminal shows.

const WIDTH = 100;

/** Words in lines of at most 100 columns; `head` stands before the first. */
export function wrap(text: string, head: string = ""): string[] {
  const lines: string[] = [];
  let line = head;
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line !== head && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = "";
    }
    line += line === "" || line === head ? word : ` ${word}`;
  }
  return [...lines, line];
}
