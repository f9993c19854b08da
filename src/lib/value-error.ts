/** A text that a person wrote and that we do not take: what is wrong with it, and what would be right. */
export class ValueError extends Error {
  override readonly name = "ValueError";
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}
