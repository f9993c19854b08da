import type { CacheView, Way } from "./view.ts";

/** What somebody may want otherwise than by default. */
export interface ConnectOptions {
  /** Registries, by the names they serve; all of them by default. */
  readonly only: readonly string[] | undefined;
  /** Whether a client may ask the registry itself where the cache fails; where that can be chosen. */
  readonly fallback: boolean;
}

export const BY_DEFAULT: ConnectOptions = { only: undefined, fallback: true };

/** The first line of a file that is ours, behind the sign of a comment: by it a later run knows it again. */
export const MADE_BY = "written by registry-cache connect; its --undo removes it";

/**
 * One thing that is written on a host. Texts and paths may have `@docker@`, `@containers@`, `@containerd@`, `@buildkit@`,
 * `@rancher@`, `@minikube@` (folders of settings), `@here@` (the working folder), `@certsd@` (where containerd looks for
 * hosts.toml), `@own@` (a name of a folder of ours), `@basic@` (base64 of user and password), `@cert64@` and `@key64@` (the
 * client's certificate and key in one line each), and `@t@` (`/t/TOKEN`, where there is a secret path); a line of a text that
 * begins with `@basic?`, `@mtls?` or `@path?` is there with that alone.
 */
export type Step =
  /** A file that is ours alone. Its first line has `registry-cache` in it, where the format has comments. */
  | { readonly kind: "own"; readonly path: string; readonly text: string; readonly mode?: "0644" | "0600" }
  /** The client's certificate or key, where there is one. */
  | { readonly kind: "client-cert" | "client-key"; readonly path: string }
  /** Tables at the end of a TOML file. */
  | { readonly kind: "block"; readonly path: string; readonly text: string }
  /** The first text in a list of a JSON file. */
  | { readonly kind: "json-list"; readonly path: string; readonly key: string; readonly value: string }
  /** A line of sh: what depends on the host. */
  | { readonly kind: "sh"; readonly line: string };

/** What is to be typed, or written elsewhere, by hand: for clients that have no settings on the host. */
export interface Snippet {
  /** Where it belongs, for people. */
  readonly title: string;
  /** With the same words between `@` as the text of a step. */
  readonly text: string;
  /** Whether it is only for those who have a client certificate. */
  readonly isForMtls?: boolean;
}

export interface Restart {
  readonly verb: "reload" | "restart";
  readonly service: string;
  /** The file whose change alone wants it; undefined: any. */
  readonly onlyFor?: string;
}

/** Why something cannot work, and what can instead. */
export interface Refusal {
  readonly why: string;
  readonly hint: string;
}

/** All that sets one kind of a client up. */
export interface Setup {
  /** By which of the cache's ways this client can come in; the best one first. */
  readonly ways: readonly Way[];
  /** Where it cannot work with this cache at all. */
  readonly refusal?: Refusal | undefined;
  readonly steps: readonly Step[];
  readonly snippets?: readonly Snippet[];
  /** What makes it read the settings; undefined: it does so by itself, or a line of sh says it. */
  readonly restart?: Restart | undefined;
  /** What users type where the cache asks for a password, since their credentials are kept by the client itself. */
  readonly login?: string;
  /** What else is to be known, one sentence each: what does not work, and what to do instead. */
  readonly notes: readonly string[];
  /** A command that shows that it works. */
  readonly tryIt: string;
}

/** A kind of a client whose settings differ: by its version, or by how it was set up. */
export interface Variant {
  /** As in `--variant`. */
  readonly name: string;
  readonly setup: Setup;
}

/** A client: how it is set up for a cache, purely. */
export interface Client {
  /** As in `registry-cache connect NAME`. */
  readonly name: string;
  /** Other words for it. */
  readonly aliases: readonly string[];
  readonly title: string;
  /** Whether settings are those of the host, or always of the user that writes them. */
  readonly scope: "host" | "user";
  /** The function of `sh/clients.sh` that finds the variant. */
  readonly detect: "detect_docker" | "detect_containerd" | "detect_rancher" | "detect_none";
  /** The first one counts where nothing was found out. */
  readonly variants: (view: CacheView, options: ConnectOptions) => readonly [Variant, ...Variant[]];
}
