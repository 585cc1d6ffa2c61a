// What one message of the verifier is: a row of the catalogue.

/** The sort of rule that a message is about; pages are grouped by it. */
export type MessageClass =
  | "structure"
  | "uninitialised"
  | "null"
  | "memory"
  | "packet"
  | "stack"
  | "context"
  | "pointer"
  | "call"
  | "map"
  | "reference"
  | "lock"
  | "return"
  | "loop"
  | "limit"
  | "program";

export interface MessageKind {
  /** Name of its page in docs/verifier-messages. */
  readonly id: string;
  readonly class: MessageClass;
  /** One line. */
  readonly title: string;
  /**
   * Of the last line of the log before its statistics, from its beginning to its end, with a newline before it where the line above has to tell
   * two kinds apart.
   */
  readonly pattern: RegExp;
  /** The usual fix. */
  readonly suggestion: string;
}
