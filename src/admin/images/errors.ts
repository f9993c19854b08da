/** A filter that means nothing, or a place in another list. */
export class InventoryError extends Error {
  override readonly name = "InventoryError";
  /** Which part of the question is wrong. */
  readonly parameter: string;

  constructor(parameter: string, message: string) {
    super(message);
    this.parameter = parameter;
  }
}
