import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import {
  CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type QueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import { LRUCache } from "lru-cache";
import { CatalogCorruptError, CatalogError, type CatalogErrorKind } from "./errors.ts";

/** How long SQLite itself waits for another process's lock. It blocks the whole process meanwhile, so it is short. */
const BUSY_BLOCK_MS = 20;
/** Between two tries; the process does other work meanwhile. */
const BUSY_PAUSE_MS = 10;
/** Altogether, before a statement fails with kind `busy`. */
export const BUSY_WAIT_MS_MAX = 10_000;
/** Prepared statements kept a connection. */
const STATEMENTS_MAX = 200;
/** Longer ones (batches) are prepared anew each time: they differ in length and would drive out the others. */
const KEPT_STATEMENT_CHARACTERS_MAX = 4096;

export interface NodeSqliteOptions {
  readonly path: string;
  /** Run on the new connection, one by one. */
  readonly pragmas: readonly string[];
  /** Default BUSY_WAIT_MS_MAX. */
  readonly busyWaitMsMax?: number | undefined;
}

/** Lets Kysely speak to the SQLite inside Node: one connection, one user of it at a time, every error a `CatalogError`. */
export class NodeSqliteDialect implements Dialect {
  readonly #options: NodeSqliteOptions;

  constructor(options: NodeSqliteOptions) {
    this.#options = options;
  }

  createDriver(): Driver {
    return new NodeSqliteDriver(this.#options);
  }

  createQueryCompiler(): QueryCompiler {
    return new SqliteQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return new SqliteAdapter();
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(db);
  }
}

class NodeSqliteDriver implements Driver {
  readonly #options: NodeSqliteOptions;
  #connection: NodeSqliteConnection | undefined;

  constructor(options: NodeSqliteOptions) {
    this.#options = options;
  }

  async init(): Promise<void> {
    const connection = openConnection(this.#options);
    try {
      for (const pragma of this.#options.pragmas) await connection.executeQuery(CompiledQuery.raw(`pragma ${pragma}`));
    } catch (error) {
      connection.close();
      throw error;
    }
    this.#connection = connection;
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#connection === undefined) throw new CatalogError("failed", "the catalog is not open");
    return this.#connection;
  }

  /** Takes the write lock at once: a lock that is only taken at the first write cannot be waited for. */
  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("begin immediate"));
  }

  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw("commit"));
  }

  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    // SQLite ends a transaction by itself after some errors (a full disk); the first error is the one to hear of.
    if (this.#connection?.inTransaction === true) await connection.executeQuery(CompiledQuery.raw("rollback"));
  }

  async releaseConnection(): Promise<void> {}

  async destroy(): Promise<void> {
    this.#connection?.close();
    this.#connection = undefined;
  }
}

function openConnection(options: NodeSqliteOptions): NodeSqliteConnection {
  try {
    const database = new DatabaseSync(options.path, { timeout: BUSY_BLOCK_MS, enableForeignKeyConstraints: true });
    return new NodeSqliteConnection(database, options.busyWaitMsMax ?? BUSY_WAIT_MS_MAX);
  } catch (error) {
    throw catalogErrorOf(error);
  }
}

interface Prepared {
  readonly statement: StatementSync;
  readonly hasRows: boolean;
}

class NodeSqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #busyWaitMsMax: number;
  readonly #kept = new LRUCache<string, Prepared>({ max: STATEMENTS_MAX });

  constructor(database: DatabaseSync, busyWaitMsMax: number) {
    this.#database = database;
    this.#busyWaitMsMax = busyWaitMsMax;
  }

  get inTransaction(): boolean {
    return this.#database.isOpen && this.#database.isTransaction;
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const deadlineMs = performance.now() + this.#busyWaitMsMax;
    for (;;) {
      try {
        return this.#run<R>(query);
      } catch (raw) {
        const error = catalogErrorOf(raw);
        if (error.kind !== "busy" || performance.now() >= deadlineMs) throw error;
      }
      await pause(BUSY_PAUSE_MS);
    }
  }

  #run<R>(query: CompiledQuery): QueryResult<R> {
    const { statement, hasRows } = this.#prepare(query.sql);
    const parameters = query.parameters as readonly SQLInputValue[];
    if (hasRows) return { rows: statement.all(...parameters) as R[] };
    const { changes } = statement.run(...parameters);
    return { rows: [], numAffectedRows: BigInt(changes) };
  }

  #prepare(text: string): Prepared {
    const known = this.#kept.get(text);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(text);
    const prepared = { statement, hasRows: statement.columns().length > 0 };
    if (text.length <= KEPT_STATEMENT_CHARACTERS_MAX) this.#kept.set(text, prepared);
    return prepared;
  }

  /** One piece: rows that are read while others write would change under the reader's hands. */
  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    yield await this.executeQuery<R>(query);
  }

  close(): void {
    this.#kept.clear();
    if (this.#database.isOpen) this.#database.close();
  }
}

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;
/** The shared index of the log could not grow: a full disk by another name. */
const SQLITE_IOERR_SHMSIZE = 4874;

/** SQLite's extended codes carry the primary one in their lowest byte (sqlite.org/rescode.html). */
function catalogErrorOf(error: unknown): CatalogError {
  if (error instanceof CatalogError) return error;
  const code = error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode : 0;
  const message = error instanceof Error ? error.message : String(error);
  const kind = kindOf(code);
  if (kind === "corrupt") return new CatalogCorruptError(message, error);
  return new CatalogError(kind, `the catalog's database: ${message}`, { cause: error });
}

function kindOf(extendedCode: number): CatalogErrorKind {
  if (extendedCode === SQLITE_IOERR_SHMSIZE) return "full";
  switch (extendedCode & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "busy";
    case SQLITE_FULL:
      return "full";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "corrupt";
    default:
      return "failed";
  }
}
