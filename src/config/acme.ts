import { ValueError } from "../lib/value-error.ts";
import { readAuthorities } from "./certificates.ts";
import type { AcmeConfig, ChallengeConfig } from "./config.ts";
import type { Finding } from "./issues.ts";
import type { TlsInput } from "./schema.ts";

const LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory";
const LETS_ENCRYPT_STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory";
const HTTP_LISTEN = { host: "0.0.0.0", port: 80 } as const;
/** The keys that mean something with `mode: acme` only. */
const OWN_KEYS = [
  "directory",
  "staging",
  "directory_ca",
  "email",
  "names",
  "one_each",
  "challenge",
  "http_listen",
] as const;

export interface ReadAcme {
  /** Undefined where certificates are not had by ACME, and where something is wrong. */
  readonly acme: AcmeConfig | undefined;
  readonly findings: readonly Finding[];
}

/** Reads `tls:` for `mode: acme`. File names are relative to `folder`; `hostnames` are those of all registries. */
export async function readAcme(input: TlsInput, folder: string, hostnames: readonly string[]): Promise<ReadAcme> {
  const findings: Finding[] = [];
  const problem = (key: keyof TlsInput, message: string, hint: string | undefined) =>
    void findings.push({ path: ["tls", key], message, hint });
  if (input.mode !== "acme") {
    const stray = OWN_KEYS.find((key) => input[key] !== undefined);
    if (stray !== undefined) problem(stray, "has no effect", "write `mode: acme` beside it");
    return { acme: undefined, findings };
  }
  for (const key of ["cert", "key"] as const) {
    if (input[key] !== undefined) problem(key, "has no effect with `mode: acme`", "remove it, or write `mode: files`");
  }
  if (input.staging === true && input.directory !== undefined) {
    problem("staging", "is of Let's Encrypt, and another directory is named", "remove one of the two");
  }
  if (input.challenge === "tls-alpn-01" && input.http_listen !== undefined) {
    const hint = "remove it: the authority then asks at port 443, which is to lead to an address of `listen`";
    problem("http_listen", "has no effect with `challenge: tls-alpn-01`", hint);
  }
  const names = [...new Set(input.names ?? hostnames)];
  if (names.length === 0)
    problem("names", "is missing: whom is the certificate for", "such as `names: [cache.example.com]`");
  const directoryCa = await readAuthority(input.directory_ca, folder, problem);
  if (findings.length > 0) return { acme: undefined, findings };
  const letsEncrypt = input.staging === true ? LETS_ENCRYPT_STAGING : LETS_ENCRYPT;
  const directory = input.directory ?? letsEncrypt;
  const { email, one_each: oneEach = false } = input;
  return { acme: { directory, directoryCa, email, names, oneEach, challenge: challengeOf(input) }, findings };
}

function challengeOf({ challenge: kind = "http-01", http_listen: listen = HTTP_LISTEN }: TlsInput): ChallengeConfig {
  return kind === "http-01" ? { kind, listen } : { kind };
}

async function readAuthority(
  name: string | undefined,
  folder: string,
  problem: (key: "directory_ca", message: string, hint: string | undefined) => void,
): Promise<string | undefined> {
  if (name === undefined) return undefined;
  try {
    return await readAuthorities(name, folder);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    problem("directory_ca", error.message, error.hint);
    return undefined;
  }
}
