/**
 * - `busy` another process kept the database locked for longer than we wait; `full` no room on its disk
 * - `corrupt` the file is damaged or no database; `newer` a later release wrote it
 * - `failed` anything else that the database refused, with its own error as the cause
 */
export type CatalogErrorKind = "busy" | "full" | "corrupt" | "newer" | "failed";

/** What every method of a catalog rejects with. */
export class CatalogError extends Error {
  override readonly name: string = "CatalogError";
  readonly kind: CatalogErrorKind;
  /** What the operator can do about it, one line. */
  readonly hint: string | undefined;

  constructor(kind: CatalogErrorKind, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint;
  }
}

/** The file is no catalog any more. Nothing but history is lost with it: `openOrRebuild` starts anew. */
export class CatalogCorruptError extends CatalogError {
  override readonly name = "CatalogCorruptError";

  constructor(message: string, cause?: unknown) {
    super("corrupt", message, { hint: "move the file away and run `registry-cache reindex`", cause });
  }
}

/** The database was migrated by a later release; writing to it could damage what that release relies on. */
export class CatalogNewerError extends CatalogError {
  override readonly name = "CatalogNewerError";
  readonly found: number;
  readonly known: number;

  constructor(found: number, known: number) {
    super("newer", `the catalog has schema version ${found}, this release knows up to ${known}`, {
      hint: "run the release that wrote it or a later one, or move the file away and run `registry-cache reindex`",
    });
    this.found = found;
    this.known = known;
  }
}
