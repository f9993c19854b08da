import { X509Certificate } from "node:crypto";
import { AcmeStore } from "../certificates/acme-store.ts";
import { pemCertificates } from "../config/certificates.ts";
import type { AcmeConfig, Certificate, Config } from "../config/config.ts";
import { ask, AskError } from "../connect/ask.ts";
import type { AtAddress } from "./addresses.ts";
import {
  judgeChain,
  judgeClientAuthorities,
  judgeNames,
  judgeRenewal,
  judgeShown,
  judgeValidity,
  knownAuthorities,
} from "./certificates.ts";
import { type Check, type Finding, ok, problem, skipped, warning } from "./finding.ts";
import { hostOfUrl } from "./host-names.ts";

export interface CertificatesOptions {
  readonly asked: Promise<readonly AtAddress[]>;
  readonly isOffline: boolean;
  readonly nowMs: number;
}

/** What is shown to clients, and what clients are judged by. Nothing where plain HTTP is spoken. */
export function certificatesCheck(config: Config, options: CertificatesOptions): Check {
  return {
    title: "Certificates",
    look: async () => [
      ...(config.tls === undefined ? [] : await ofFile(config, config.tls, options)),
      ...(config.acme === undefined ? [] : await ofAcme(config, config.acme, options)),
      ...(config.access.mtls === undefined
        ? []
        : await judgeClientAuthorities(config.access.mtls.ca, config.access.mtls.crl, options.nowMs)),
    ],
  };
}

/** The names that clients come by. */
function namesOf({ url, registries }: Config): string[] {
  const ofUrl = url === undefined || !url.startsWith("https:") ? [] : [hostOfUrl(url)];
  const named = registries.flatMap(({ hostnames }) => hostnames).map((name) => name.replace(/:\d+$/, ""));
  return [...new Set([...ofUrl, ...named])];
}

async function ofFile(
  config: Config,
  { cert }: Certificate,
  { asked, nowMs }: CertificatesOptions,
): Promise<Finding[]> {
  const chain = pemCertificates(cert);
  const own = new X509Certificate(chain[0] ?? "");
  return [
    judgeValidity(
      own,
      "the certificate",
      nowMs,
      "have it renewed, and put it into the files that `tls` names: the cache follows them",
    ),
    ...judgeChain(chain, knownAuthorities(config.tlsCa)),
    ...judgeNames(own, namesOf(config)),
    ...judgeShown(await shownAt(asked), own),
  ];
}

/** SHA-256 of what this cache's listeners show. */
async function shownAt(asked: Promise<readonly AtAddress[]>): Promise<string[]> {
  const all = (await asked).map(({ answered }) => (answered.kind === "cache" ? answered.certificate : undefined));
  return all.filter((one) => one !== undefined);
}

async function ofAcme(config: Config, acme: AcmeConfig, options: CertificatesOptions): Promise<Finding[]> {
  const store = new AcmeStore(config.dataDir, acme.directory);
  const names = acme.oneEach ? acme.names : [undefined];
  const found: Finding[] = [await directoryFinding(config, acme, options)];
  for (const name of names) {
    const wanted = name === undefined ? acme.names : [name];
    found.push(...(await ofKept(store, name, wanted, options.nowMs)));
  }
  return found;
}

async function ofKept(
  store: AcmeStore,
  name: string | undefined,
  wanted: readonly string[],
  nowMs: number,
): Promise<readonly Finding[]> {
  const what = `the certificate for ${wanted.join(", ")}`;
  const fix = 'look for "no certificate" in the log of the cache, which says why the authority gives none';
  try {
    const kept = await store.certificate(name);
    if (kept === undefined) return [problem(`${what} was not given out yet`, fix)];
    const own = new X509Certificate(pemCertificates(kept.cert)[0] ?? "");
    return [judgeValidity(own, what, nowMs, fix), ...judgeRenewal(kept.cert, nowMs), ...judgeNames(own, wanted)];
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code ?? error);
    return [skipped(`${what} cannot be read (${code}): run this as the cache's user, or as root`)];
  }
}

async function directoryFinding(
  { proxy }: Config,
  { directory, directoryCa }: AcmeConfig,
  { isOffline }: CertificatesOptions,
): Promise<Finding> {
  const { host } = new URL(directory);
  if (isOffline) return skipped(`the authority ${host} was not asked (--offline)`);
  if (proxy.httpsProxy !== "")
    return skipped(`the authority ${host} is asked through a proxy, which is not tried here`);
  try {
    const { status, text } = await ask(new URL(directory), { ca: directoryCa });
    if (status === 200 && text.includes("newOrder")) return ok(`the authority ${host} answers`);
    return problem(`${host} answers ${status}, and not as an ACME authority does`, "look at `tls.directory`");
  } catch (error) {
    if (!(error instanceof AskError)) throw error;
    const fix =
      error.hint === undefined
        ? "without it nothing is renewed: mend DNS, the network or `tls.directory`"
        : "name its authority as `tls.directory_ca`";
    return warning(`the authority ${error.message}`, fix);
  }
}
