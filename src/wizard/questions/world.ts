import type { Trial } from "../../upstream/trial.ts";
import type { Answers, CredentialsAnswer, RegistryAnswer } from "../answers.ts";
import type { Asker } from "../asker.ts";

/** What the questions want to know of the machine and the network. Names of files are relative to the configuration's folder. */
export interface World {
  /** A name that others may know this machine by. */
  readonly hostname: string;
  /** By which other machines reach this one. */
  readonly addresses: readonly string[];
  /** Asks a registry with these credentials, or with those that are kept. */
  tryRegistry(registry: RegistryAnswer, credentials: CredentialsAnswer, signal: AbortSignal): Promise<Trial>;
  /** Of the disk that the folder lies on, or will lie on; undefined where that cannot be said. */
  freeBytes(folder: string): Promise<number | undefined>;
  /** Whether there is an authority of one's own in the folder. */
  hasAuthority(folder: string): Promise<boolean>;
  /** Users of a password file. */
  users(file: string): Promise<readonly string[]>;
  /** What is wrong with certificate and key, or with a file of authorities; undefined where they can be used. */
  certificateProblem(cert: string, key: string): Promise<string | undefined>;
  authoritiesProblem(file: string): Promise<string | undefined>;
}

export interface Talk {
  readonly asker: Asker;
  readonly world: World;
  /** What the files say already. */
  readonly before: Answers;
  /** Whether there is no file yet. */
  readonly isNew: boolean;
}
