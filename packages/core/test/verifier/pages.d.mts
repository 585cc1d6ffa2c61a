// What pages.mjs exports; it is JavaScript so that the tools can import it without a build.

/** A program of a page, as a case of a case file without answers. */
export interface PageProgram {
  readonly name: string;
  readonly asm: string;
  readonly [option: string]: unknown;
}

export interface Page {
  readonly id: string;
  readonly title: string;
  /** Its first paragraph, as one line. */
  readonly meaning: string;
  /** What each kernel that rejects the first program prints: the last line, or the last two. */
  readonly messages: Readonly<Record<string, string>>;
  readonly maps: Readonly<Record<string, unknown>>;
  /** Whether the programs are cases of cases/messages.yaml. */
  readonly asked: boolean;
  /** Kernels whose message this verifier does not give yet. */
  readonly pending: readonly string[];
  readonly rejected: PageProgram;
  readonly accepted: PageProgram;
}

export function readPages(): Page[];
export function readPage(id: string, text: string): Page;
export function casesOf(pages: readonly Page[]): {
  readonly subject: string;
  readonly maps: Readonly<Record<string, unknown>>;
  readonly cases: readonly PageProgram[];
};

/** What kernels said, as in a case file. */
export interface Answers {
  readonly "linux-6.12"?: unknown;
  readonly "linux-7.2"?: unknown;
}
