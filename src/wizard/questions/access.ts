import { Networks } from "../../lib/networks.ts";
import { readNetwork, readPath, readPrincipalName } from "../../config/values.ts";
import { readNewPassword, readUserName } from "../../access/new-user.ts";
import { readClientName } from "../../certificates/authority-folder.ts";
import type { AccessAnswer, Answers } from "../answers.ts";
import { checkBy, isBeyondLoopback, isOpened, listOf } from "../names.ts";
import { AUTHORITY_FOLDER, HTPASSWD, type Making, type MakingAuthority, type MakingUser } from "../plan.ts";
import type { Talk } from "./world.ts";

export interface AccessAnswers {
  readonly access: AccessAnswer;
  readonly making: Pick<Making, "tokens" | "users"> & {
    readonly clients: readonly string[];
    readonly needsAuthority: boolean;
  };
}

/** Of homes and companies, and this machine itself. */
const PRIVATE_NETWORKS = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "127.0.0.0/8", "::1"];

const EVERYBODY: AccessAnswer = { anonymous: true, networks: [], htpasswd: undefined, mtlsCa: undefined, paths: [] };

type Method = "networks" | "basic" | "mtls" | "paths";

const NO_FILES = { tokens: [], users: [], clients: [], needsAuthority: false };

/** Who may pull. `authority` is what is made of one's own already. */
export async function askAccess(
  talk: Talk,
  answers: Answers,
  authority: MakingAuthority | undefined,
): Promise<AccessAnswers> {
  const { asker, before, isNew } = talk;
  const isLocal = !isBeyondLoopback(answers.listen);
  const accounts = answers.registries.filter(({ isOn, credentials }) => isOn && credentials.kind !== "none");
  // With the cache's own credentials strangers would pull what these pay for; the configuration is refused.
  const notAll = !isLocal && accounts.length > 0 ? "not with an account at a registry" : undefined;
  // Certificates need TLS, and secret paths are for Docker Hub.
  const isLost =
    (before.access.mtlsCa !== undefined && answers.tls.kind === "off") ||
    (before.access.paths.length > 0 && !hasHub(answers));
  const { anonymous, networks } = before.access;
  const isOpen = anonymous && networks.length === 0;
  const isAll = isOpen && accessText(before.access) === accessText(EVERYBODY);
  const maySame = !isNew && !isAll && !isLost && !(isOpen && notAll !== undefined);
  const choices = [
    ...(maySame ? [{ value: "same" as const, label: `as before: ${accessText(before.access)}` }] : []),
    { value: "all" as const, label: "everybody who reaches it", not: notAll },
    { value: "some" as const, label: "only some", hint: "by network, password, certificate or secret path" },
  ];
  const mayAll = isLocal || (isAll && notAll === undefined);
  const byDefault = isOpen && isOpened(talk, answers.listen) ? "some" : maySame ? "same" : mayAll ? "all" : "some";
  const chosen = await asker.select("Who may pull?", choices, byDefault);
  if (chosen === "same") return { access: before.access, making: NO_FILES };
  if (chosen === "all") return { access: EVERYBODY, making: NO_FILES };
  const methods = await askMethods(talk, answers, notAll !== undefined);
  return await askDetails(talk, methods, authority);
}

export function accessText({ anonymous, networks, htpasswd, mtlsCa, paths }: AccessAnswer): string {
  const ways = [
    networks.length > 0 ? "networks" : "",
    htpasswd === undefined ? "" : "passwords",
    mtlsCa === undefined ? "" : "certificates",
    paths.length > 0 ? "secret paths" : "",
  ].filter((one) => one !== "");
  if (ways.length === 0) return "everybody";
  return anonymous && ways.some((one) => one !== "networks") ? `${ways.join(", ")}, or nothing` : ways.join(", ");
}

function hasHub({ registries }: Answers): boolean {
  return registries.some(({ id, isOn }) => id === "dockerhub" && isOn);
}

async function askMethods({ asker, before }: Talk, answers: Answers, isNeeded: boolean): Promise<ReadonlySet<Method>> {
  const { networks, htpasswd, mtlsCa, paths } = before.access;
  const isHub = hasHub(answers);
  const had: [Method, boolean][] = [
    ["networks", networks.length > 0],
    ["basic", htpasswd !== undefined],
    ["mtls", mtlsCa !== undefined && answers.tls.kind !== "off"],
    ["paths", paths.length > 0 && isHub],
  ];
  const has = had.filter(([, isThere]) => isThere).map(([method]) => method);
  const choices = [
    { value: "networks" as const, label: "from these networks", hint: "keeps all others out, whatever they show" },
    { value: "basic" as const, label: "with user and password", hint: "everything but Docker's mirror" },
    {
      value: "mtls" as const,
      label: "with a client certificate",
      not: answers.tls.kind === "off" ? "needs TLS" : undefined,
    },
    {
      value: "paths" as const,
      label: "by a secret path",
      hint: "for Docker's mirror",
      not: isHub ? undefined : "is for docker.io",
    },
  ];
  for (;;) {
    const byDefault: Method[] = has.length > 0 ? has : ["networks"];
    const chosen = new Set(
      await asker.choose("By what do you know them? (Each of the last three lets in)", choices, byDefault),
    );
    if (chosen.size > 0 || !isNeeded) return chosen;
    asker.say("warning", "With an account at a registry, not everybody who reaches the cache may pull.");
  }
}

async function askDetails(
  talk: Talk,
  methods: ReadonlySet<Method>,
  authority: MakingAuthority | undefined,
): Promise<AccessAnswers> {
  const { before } = talk;
  const networks = methods.has("networks") ? await askNetworks(talk) : [];
  const basic = methods.has("basic") ? await askUsers(talk) : undefined;
  const mtls = methods.has("mtls") ? await askCertificates(talk, authority) : undefined;
  const path = methods.has("paths") ? await askPath(talk) : undefined;
  const paths = path === undefined ? [] : [...before.access.paths, ...path.added];
  const access = { networks, htpasswd: basic?.file, mtlsCa: mtls?.ca, paths };
  const isPeople = methods.has("basic") || methods.has("mtls") || methods.has("paths");
  return {
    access: { anonymous: !isPeople, ...access },
    making: {
      tokens: path?.added.flatMap(({ tokenFile }) => tokenFile ?? []) ?? [],
      users: basic?.users ?? [],
      clients: mtls?.clients ?? [],
      needsAuthority: mtls?.needsAuthority ?? false,
    },
  };
}

async function askNetworks({ asker, before, world }: Talk): Promise<string[]> {
  const has = before.access.networks;
  // Programs of this machine come from the address that they ask for, which need not be a private one.
  const known = new Networks(PRIVATE_NETWORKS);
  const offered = [...PRIVATE_NETWORKS, ...world.addresses.filter((address) => !known.includes(address))];
  const typed = await asker.text("Which networks? (separated by commas)", {
    byDefault: (has.length > 0 ? has : offered).join(", "),
    isEdited: true,
    check: checkBy((text) => listOf(text).map(readNetwork)),
  });
  return listOf(typed);
}

async function askUsers({ asker, before, world }: Talk): Promise<{ file: string; users: MakingUser[] }> {
  const file = before.access.htpasswd ?? HTPASSWD;
  const known = new Set(await world.users(file));
  const which =
    known.size === 0 ? "A first user's name? (Enter: none yet)" : "One more user's name? (Enter: no further one)";
  const name = await asker.text(which, {
    check: (text) => checkBy(readUserName)(text) ?? (known.has(text) ? "there is one already" : undefined),
  });
  if (name === "") return { file, users: [] };
  for (;;) {
    const password = await asker.secret(
      `Password for ${name}? (Enter: none yet, so no user)`,
      checkBy(readNewPassword),
    );
    if (password === "") return { file, users: [] };
    if ((await asker.secret("The same again?")) === password) return { file, users: [{ file, name, password }] };
    asker.say("warning", "The two passwords differ.");
  }
}

async function askCertificates(
  { asker, before, world }: Talk,
  authority: MakingAuthority | undefined,
): Promise<{ ca: string; clients: string[]; needsAuthority: boolean }> {
  const own = `${AUTHORITY_FOLDER}/ca.pem`;
  const has = before.access.mtlsCa;
  const isThere = authority !== undefined || (await world.hasAuthority(AUTHORITY_FOLDER));
  const choices = [
    ...(has === undefined || has === own ? [] : [{ value: "same" as const, label: `as before: ${has}` }]),
    { value: "own" as const, label: "your own, made here", hint: isThere ? own : `in ${AUTHORITY_FOLDER}` },
    { value: "file" as const, label: "another, whose file you have" },
  ];
  const byDefault = has === undefined || has === own ? "own" : "same";
  for (;;) {
    const chosen = await asker.select("Which authority signs clients' certificates?", choices, byDefault);
    if (chosen === "same") return { ca: has ?? own, clients: [], needsAuthority: false };
    if (chosen === "own") return { ca: own, clients: await askClients(asker), needsAuthority: true };
    const ca = await asker.text("Its file? (a path, from the configuration's folder)", {
      byDefault: has ?? "clients-ca.pem",
      check: checkBy((text) => readPath(text, "./clients-ca.pem")),
    });
    const wrong = await world.authoritiesProblem(ca);
    if (wrong === undefined) return { ca, clients: [], needsAuthority: false };
    asker.say("warning", wrong);
  }
}

async function askClients(asker: Talk["asker"]): Promise<string[]> {
  const typed = await asker.text("Clients that get a certificate now? (such as ci-runner; Enter: none)", {
    check: checkBy((text) => listOf(text).map(readClientName)),
  });
  return listOf(typed);
}

async function askPath({ asker, before }: Talk): Promise<{ added: { name: string; tokenFile: string }[] }> {
  const taken = new Set(before.access.paths.map(({ name }) => name));
  const isFirst = taken.size === 0;
  const name = await asker.text(
    isFirst
      ? "What is the secret path called, in rules and in the log?"
      : "One more secret path's name? (Enter: no further one)",
    {
      byDefault: isFirst ? "docker" : undefined,
      check: (text) => checkBy(readPrincipalName)(text) ?? (taken.has(text) ? "there is one already" : undefined),
    },
  );
  return { added: name === "" ? [] : [{ name, tokenFile: `${name}.token` }] };
}
