import type { Answers } from "./answers.ts";

/** What is to become of the files. */
export interface Plan {
  readonly answers: Answers;
  readonly making: Making;
}

/** Files that are made beside the configuration; names are relative to its folder. */
export interface Making {
  readonly authority: MakingAuthority | undefined;
  /** Files with a new secret each, for secret paths. */
  readonly tokens: readonly string[];
  /** New users of the password file. */
  readonly users: readonly MakingUser[];
}

/** An authority of one's own, made where there is none in its folder yet. */
export interface MakingAuthority {
  readonly folder: string;
  /** Whom the server's certificate is for; none: it is not made, or stays. */
  readonly serverNames: readonly string[];
  /** Who gets a client's certificate. */
  readonly clients: readonly string[];
}

export interface MakingUser {
  readonly file: string;
  readonly name: string;
  readonly password: string;
}

export const NOTHING: Making = { authority: undefined, tokens: [], users: [] };

/** Where the questions, and the flags, put an authority of one's own. */
export const AUTHORITY_FOLDER = "certificates";
export const HTPASSWD = "users.htpasswd";
