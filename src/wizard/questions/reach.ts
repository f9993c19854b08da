import { readHostname, readListen } from "../../config/values.ts";
import { type Answers, listenText, type RegistryAnswer } from "../answers.ts";
import { checkBy, hostOfUrl, isOpened, listOf, urlFor } from "../names.ts";
import type { Talk } from "./world.ts";

const DEFAULT_PORT = "5000";

/** Where the cache listens. */
export async function askListen({ asker, before, isNew }: Talk): Promise<readonly string[]> {
  const choices = [
    ...(isNew ? [] : [{ value: "same" as const, label: `as before: ${before.listen.join(", ")}` }]),
    { value: "local" as const, label: "this machine alone", hint: "127.0.0.1" },
    { value: "all" as const, label: "other machines too", hint: "0.0.0.0, all addresses of this one" },
    { value: "typed" as const, label: "an address that I type" },
  ];
  const chosen = await asker.select("Who is to reach the cache?", choices, isNew ? "local" : "same");
  if (chosen === "same") return before.listen;
  const check = checkBy((text) => listOf(text).map(readListen));
  if (chosen === "typed") {
    const typed = await asker.text("Addresses with ports, separated by commas?", {
      byDefault: before.listen.join(", "),
      isEdited: true,
      check,
    });
    return listOf(typed).map((one) => listenText(readListen(one)));
  }
  const host = chosen === "local" ? "127.0.0.1" : "0.0.0.0";
  const port = await asker.text("At which port?", {
    byDefault: DEFAULT_PORT,
    check: checkBy((text) => readListen(`${host}:${text}`)),
  });
  return [`${host}:${Number(port)}`];
}

export interface NamesAnswer {
  readonly registries: readonly RegistryAnswer[];
  /** The one for all. */
  readonly host: string | undefined;
  /** Of a cache behind a proxy: it is left alone. */
  readonly url: string | undefined;
}

/** By which names clients reach it. */
export async function askNames(talk: Talk, answers: Answers): Promise<NamesAnswer> {
  const { asker, before, isNew } = talk;
  const { registries } = answers;
  const host = hostOfUrl(before);
  const url = host === undefined ? before.url : undefined;
  const has = before.url !== undefined || before.registries.some(({ hostnames }) => hostnames.length > 0);
  const maySame = !isNew && has;
  const choices = [
    // Where it had none, that is the next one.
    ...(maySame ? [{ value: "same" as const, label: `as before: ${asBefore(before)}` }] : []),
    { value: "none" as const, label: "none", hint: "it is reached by its address" },
    { value: "one" as const, label: "one for all registries", hint: "cache.example.com" },
    { value: "each" as const, label: "one for each registry", hint: "ghcr.cache.example.com, ..." },
  ];
  // Those who reach it from now on need a name that those before did not.
  const byDefault = isOpened(talk, answers.listen) && !has ? "one" : maySame ? "same" : "none";
  const chosen = await asker.select("Which host names does it have?", choices, byDefault);
  if (chosen === "same") return { registries, host, url };
  const without = registries.map((one) => ({ ...one, hostnames: [] }));
  if (chosen === "none") return { registries: without, host: undefined, url: undefined };
  if (chosen === "each") return { registries: await askEach(talk, registries), host: undefined, url: undefined };
  const named = await asker.text("Which one?", {
    byDefault: host ?? talk.world.hostname,
    check: checkBy(readHostname),
  });
  return { registries: without, host: readHostname(named), url: undefined };
}

function asBefore({ url, registries }: Answers): string {
  const count = registries.filter(({ isOn, hostnames }) => isOn && hostnames.length > 0).length;
  const each = count === 0 ? undefined : `for ${count} ${count === 1 ? "registry" : "registries"}`;
  return [url, each].filter((one) => one !== undefined).join(", ") || "for registries that are off";
}

async function askEach(
  { asker, before, world }: Talk,
  registries: readonly RegistryAnswer[],
): Promise<RegistryAnswer[]> {
  const on = registries.filter(({ isOn }) => isOn);
  const domain = readHostname(
    await asker.text("Below which domain?", {
      byDefault: domainOf(before.registries) ?? world.hostname,
      check: checkBy(readHostname),
    }),
  );
  const nameOf = ({ id }: RegistryAnswer) => `${id}.${domain}`;
  asker.show("Host names", on.map((one) => `${nameOf(one)} for ${one.serves}`).join("\n"));
  const isRight = await asker.confirm("Are these right? (No: each of them is asked for)", true);
  const answers: RegistryAnswer[] = [];
  for (const one of registries) {
    if (!one.isOn) answers.push(one);
    else if (isRight) answers.push({ ...one, hostnames: [nameOf(one)] });
    else {
      const taken = new Set(answers.filter(({ isOn }) => isOn).flatMap(({ hostnames }) => hostnames));
      const check = (text: string) => {
        const wrong = checkBy((typed) => listOf(typed).map(readHostname))(text);
        if (wrong !== undefined) return wrong;
        return listOf(text).some((name) => taken.has(readHostname(name)))
          ? "another registry has it already"
          : undefined;
      };
      const typed = await asker.text(`For ${one.serves}?`, {
        byDefault: one.hostnames.join(", ") || nameOf(one),
        isEdited: true,
        check,
      });
      answers.push({ ...one, hostnames: listOf(typed).map(readHostname) });
    }
  }
  return answers;
}

/** Below which the names lie that there are. */
function domainOf(registries: readonly RegistryAnswer[]): string | undefined {
  const found = registries.find(({ id, hostnames }) => hostnames[0]?.startsWith(`${id}.`) === true);
  return found?.hostnames[0]?.slice(found.id.length + 1);
}

/** The `url` that belongs to the answers. */
export function urlOf({ host, url }: Pick<NamesAnswer, "host" | "url">, answers: Pick<Answers, "listen" | "tls">) {
  return host === undefined ? url : urlFor(host, answers);
}
