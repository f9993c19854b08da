import { idFinding } from "../../config/ids.ts";
import { readServes, readUpstream } from "../../config/values.ts";
import type { RegistryAnswer } from "../answers.ts";
import type { Check } from "../asker.ts";
import { checkBy } from "../names.ts";
import type { Talk } from "./world.ts";

const ANOTHER = "+";
/** People know some by another name than images carry. */
const KNOWN_AS: Readonly<Record<string, string>> = {
  dockerhub: "Docker Hub",
  ghcr: "GitHub",
  quay: "Quay",
  gcr: "Google",
  k8s: "Kubernetes",
  gitlab: "GitLab",
  ecr: "Amazon ECR Public",
  lscr: "LinuxServer",
  codeberg: "Codeberg",
};

/** Which registries, at least one. */
export async function askRegistries({ asker, before }: Talk): Promise<RegistryAnswer[]> {
  const choices = before.registries.map(({ id, serves }) => ({
    value: id,
    label: serves,
    hint: KNOWN_AS[id] ?? id,
  }));
  const on = before.registries.filter(({ isOn }) => isOn).map(({ id }) => id);
  for (;;) {
    const another = { value: ANOTHER, label: "another one", hint: "of your own; it is asked for next" };
    const chosen = await asker.choose("Which registries do you want to cache?", [...choices, another], on);
    const known = before.registries.map((one) => ({ ...one, isOn: chosen.includes(one.id) }));
    const all = chosen.includes(ANOTHER) ? await askOwn(asker, known) : known;
    if (all.some(({ isOn }) => isOn)) return all;
    asker.say("warning", "A cache needs one registry at least.");
  }
}

async function askOwn(asker: Talk["asker"], known: readonly RegistryAnswer[]): Promise<RegistryAnswer[]> {
  const all = [...known];
  for (let count = 0; ; count += 1) {
    const question = count === 0 ? "Its name, as images carry it?" : "The next one's name? (Enter: no further one)";
    const taken = new Set(all.map(({ serves }) => serves));
    const check: Check = (text) =>
      checkBy(readServes)(text) ?? (taken.has(text) ? "that one is there already" : undefined);
    const example = count === 0 ? " (such as registry.example.com; Enter: none)" : "";
    const serves = await asker.text(question + example, { check });
    if (serves === "") return all;
    const upstream = await asker.text("Where is it?", { byDefault: `https://${serves}`, check: checkBy(readUpstream) });
    const ids = new Set(all.map(({ id }) => id));
    const id = await asker.text("A short name for it?", { byDefault: freeId(serves, ids), check: checkId(ids) });
    const origin = readUpstream(upstream);
    all.push({
      id,
      serves,
      upstream: origin,
      isBuiltIn: false,
      isOn: true,
      hostnames: [],
      credentials: { kind: "none" },
    });
  }
}

function checkId(taken: ReadonlySet<string>): Check {
  return (text) => {
    const wrong = idFinding(text);
    if (wrong !== undefined) return `${wrong.message}: ${wrong.hint ?? ""}`;
    return taken.has(text) ? "that one is taken" : undefined;
  };
}

/** Says nothing about whose registry it is. */
const COMMON_LABELS: ReadonlySet<string> = new Set(["registry", "docker", "hub", "images", "cr", "www"]);
const ID_LENGTH_MAX = 30;

/** `registry.corp.example:5000` -> `corp`. */
export function freeId(serves: string, taken: ReadonlySet<string>): string {
  const labels = serves.replace(/:.*/, "").split(".");
  const telling = labels.find((one) => !COMMON_LABELS.has(one) && idFinding(one) === undefined) ?? "own";
  const id = telling.slice(0, ID_LENGTH_MAX).replace(/-+$/, "");
  if (!taken.has(id)) return id;
  for (let number = 2; ; number += 1) if (!taken.has(`${id}-${number}`)) return `${id}-${number}`;
}
