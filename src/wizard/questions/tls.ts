import { readDirectory, readHostname, readListen, readPath, readText } from "../../config/values.ts";
import type { Answers, TlsAnswer } from "../answers.ts";
import { acmeNames, checkBy, isOpened, listOf, serverNames } from "../names.ts";
import { AUTHORITY_FOLDER, type MakingAuthority } from "../plan.ts";
import type { Talk } from "./world.ts";

export interface TlsAnswers {
  readonly tls: TlsAnswer;
  /** Of a server's certificate that is made. */
  readonly authority: MakingAuthority | undefined;
}

/** What an authority of one's own makes. */
export const OWN_TLS: TlsAnswer = {
  kind: "files",
  cert: `${AUTHORITY_FOLDER}/cache.pem`,
  key: `${AUTHORITY_FOLDER}/cache-key.pem`,
  ca: `${AUTHORITY_FOLDER}/ca.pem`,
};

const HTTPS_PORT = 443;

/** Whether clients are spoken to with TLS, and whose certificate they see. */
export async function askTls(talk: Talk, answers: Answers): Promise<TlsAnswers> {
  const { asker, before, isNew } = talk;
  const maySame = !isNew && before.tls.kind !== "off";
  const choices = [
    ...(maySame ? [{ value: "same" as const, label: `as before: ${tlsText(before.tls)}` }] : []),
    { value: "off" as const, label: "no TLS", hint: "plain HTTP" },
    { value: "own" as const, label: "an authority of your own, made here", hint: "hosts must trust it" },
    { value: "files" as const, label: "certificate files that you have" },
    { value: "letsencrypt" as const, label: "Let's Encrypt", hint: "for names that the internet can reach" },
    { value: "acme" as const, label: "another ACME authority", hint: "Step-CA, ..." },
  ];
  const needsOne = isOpened(talk, answers.listen) && before.tls.kind === "off";
  const byDefault = needsOne ? "own" : maySame ? "same" : "off";
  for (;;) {
    const chosen = await asker.select("Does it speak TLS, and with whose certificate?", choices, byDefault);
    switch (chosen) {
      case "same":
        return { tls: before.tls, authority: await renewal(answers, before) };
      case "off":
        return { tls: { kind: "off" }, authority: undefined };
      case "own":
        return { tls: OWN_TLS, authority: making(answers) };
      case "files": {
        const tls = await askFiles(talk);
        if (tls !== undefined) return { tls, authority: undefined };
        break;
      }
      case "letsencrypt":
      case "acme": {
        const tls = await askAcme(talk, answers, chosen === "acme");
        if (tls !== undefined) return { tls, authority: undefined };
      }
    }
  }
}

function making(answers: Answers): MakingAuthority {
  return { folder: AUTHORITY_FOLDER, serverNames: serverNames(answers), clients: [] };
}

/** Names that are new need another certificate. */
async function renewal(answers: Answers, before: Answers): Promise<MakingAuthority | undefined> {
  const { tls } = before;
  if (tls.kind !== "files" || OWN_TLS.kind !== "files" || tls.cert !== OWN_TLS.cert) return undefined;
  const had = new Set(serverNames(before));
  return serverNames(answers).every((name) => had.has(name)) ? undefined : making(answers);
}

export function tlsText(tls: TlsAnswer): string {
  if (tls.kind === "off") return "none";
  if (tls.kind === "files") return tls.cert;
  return tls.directory === undefined ? "Let's Encrypt" : new URL(tls.directory).host;
}

/** Undefined where they are not there, or not right: then it is asked for something else. */
async function askFiles({ asker, before, world }: Talk): Promise<TlsAnswer | undefined> {
  const has = before.tls.kind === "files" ? before.tls : undefined;
  const check = checkBy((text) => readPath(text, "./cache.pem"));
  const cert = await asker.text("The certificate's file? (a path, from the configuration's folder)", {
    byDefault: has?.cert ?? "cache.pem",
    check,
  });
  const key = await asker.text("The file of its private key?", {
    byDefault: has?.key ?? cert.replace(/(\.[^./]+)?$/, "-key$1"),
    check,
  });
  const wrong = await world.certificateProblem(cert, key);
  if (wrong !== undefined) {
    asker.say("warning", wrong);
    return undefined;
  }
  const ca = await asker.text("The file of its authority? (Enter: clients trust it anyway)", {
    byDefault: has?.ca,
    check,
  });
  const problem = ca === "" ? undefined : await world.authoritiesProblem(ca);
  if (problem === undefined) return { kind: "files", cert, key, ca: ca === "" ? undefined : ca };
  asker.say("warning", problem);
  return undefined;
}

async function askAcme(talk: Talk, answers: Answers, isOther: boolean): Promise<TlsAnswer | undefined> {
  const { asker, before, world } = talk;
  const has = before.tls.kind === "acme" ? before.tls : undefined;
  const directory = isOther ? await askDirectory(talk) : undefined;
  if (directory?.problem !== undefined) {
    asker.say("warning", directory.problem);
    return undefined;
  }
  if (!isOther) asker.say("step", "Going on means that you agree to Let's Encrypt's terms of service.");
  const email = await asker.text("Where may it write to, when something is wrong? (Enter: nowhere)", {
    byDefault: has?.email,
    check: checkBy((text) => readText(text, "ops@example.com")),
  });
  const fromAnswers = acmeNames(serverNames(answers));
  const typed =
    fromAnswers.length > 0
      ? []
      : listOf(await asker.text("For which host names?", { byDefault: world.hostname, check: checkNames }));
  const hasUrlAlone = !answers.registries.some(({ isOn, hostnames }) => isOn && hostnames.length > 0);
  const challenge = await asker.select(
    "How does it see that the names are yours?",
    [
      { value: "http-01" as const, label: "it asks at port 80 of them", hint: "which must lead here" },
      { value: "tls-alpn-01" as const, label: "it asks at port 443", hint: "which must lead to the cache's own port" },
    ],
    has?.challenge ?? (readListen(answers.listen[0]).port === HTTPS_PORT ? "tls-alpn-01" : "http-01"),
  );
  return {
    kind: "acme",
    directory: directory?.url,
    directoryCa: directory?.ca,
    email: email === "" ? undefined : email,
    names:
      typed.length > 0 ? typed.map(readHostname) : hasUrlAlone || answers.url !== undefined ? fromAnswers : undefined,
    challenge,
  };
}

const checkNames = checkBy((text) => listOf(text).map(readHostname));

async function askDirectory({ asker, before, world }: Talk) {
  const has = before.tls.kind === "acme" ? before.tls : undefined;
  const url = await asker.text("Its directory?", {
    byDefault: has?.directory ?? "https://ca.example.com/acme/acme/directory",
    check: checkBy(readDirectory),
  });
  const ca = await asker.text("The file of its root? (Enter: this machine trusts it anyway)", {
    byDefault: has?.directoryCa,
    check: checkBy((text) => readPath(text, "./step-ca-root.pem")),
  });
  const problem = ca === "" ? undefined : await world.authoritiesProblem(ca);
  return { url: readDirectory(url), ca: ca === "" ? undefined : ca, problem };
}
