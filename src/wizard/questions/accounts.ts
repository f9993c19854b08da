import { readSecretText, readUsername } from "../../config/values.ts";
import { quotaText } from "../../upstream/quota.ts";
import type { Trial } from "../../upstream/trial.ts";
import type { CredentialsAnswer, RegistryAnswer } from "../answers.ts";
import { checkBy } from "../names.ts";
import type { Talk } from "./world.ts";

/** Credentials for the registries, each tried as it is entered. */
export async function askAccounts(talk: Talk, registries: readonly RegistryAnswer[]): Promise<RegistryAnswer[]> {
  const on = registries.filter(({ isOn }) => isOn);
  const choices = on.map(({ id, serves, credentials }) => ({ value: id, label: serves, hint: hintOf(credentials) }));
  const has = on.filter(({ credentials }) => credentials.kind !== "none").map(({ id }) => id);
  const question = "At which of them do you have an account? (It raises limits; none is needed)";
  const chosen = new Set(await talk.asker.choose(question, choices, has));
  const answers: RegistryAnswer[] = [];
  for (const registry of registries) {
    if (!registry.isOn) answers.push(registry);
    else if (!chosen.has(registry.id)) answers.push({ ...registry, credentials: { kind: "none" } });
    else answers.push({ ...registry, credentials: await askAccount(talk, registry) });
  }
  return answers;
}

function hintOf(credentials: CredentialsAnswer): string | undefined {
  if (credentials.kind === "none") return undefined;
  return credentials.username === undefined ? "there is one" : `as ${credentials.username}`;
}

async function askAccount(talk: Talk, registry: RegistryAnswer): Promise<CredentialsAnswer> {
  let known = registry.credentials;
  for (;;) {
    const typed = await askTyped(talk, registry, known);
    if (typed.kind === "none") return typed;
    const next = await tried(talk, registry, typed);
    if (next === "keep") return typed;
    if (next === "without") return { kind: "none" };
    known = typed;
  }
}

async function askTyped(
  { asker }: Talk,
  { serves, credentials }: RegistryAnswer,
  known: CredentialsAnswer,
): Promise<CredentialsAnswer> {
  const username = known.kind === "none" ? undefined : known.username;
  const isKept = credentials.kind !== "none";
  const without = isKept ? "" : username === undefined ? " (Enter: none after all)" : "";
  const user = await asker.text(`User at ${serves}?${without}`, { byDefault: username, check: checkBy(readUsername) });
  const isSame = isKept && (user === "" || user === credentials.username);
  if (user === "") return isSame ? credentials : { kind: "none" };
  const question = `Password or token of ${user} at ${serves}? (Enter: ${isSame ? "as before" : "none"})`;
  const password = await asker.secret(
    question,
    checkBy((text) => readSecretText(text, "a text")),
  );
  if (password !== "") return { kind: "basic", username: user, password };
  if (isSame) return credentials;
  asker.say("step", `No account at ${serves} then.`);
  return { kind: "none" };
}

async function tried(
  { asker, world }: Talk,
  registry: RegistryAnswer,
  credentials: CredentialsAnswer,
): Promise<"keep" | "again" | "without"> {
  for (;;) {
    const trial = await asker.during(`Asking ${registry.serves}`, async (signal) => {
      return await world.tryRegistry(registry, credentials, signal);
    });
    const isGood = trial.verdict === "taken" || trial.verdict === "unasked";
    asker.say(isGood ? "done" : "warning", trialText(trial, registry));
    if (isGood) return "keep";
    // What stands there already is not lost by pressing Enter; what was just typed is not kept by it.
    const byDefault = trial.verdict === "refused" && credentials.kind === "basic" ? "again" : "keep";
    const choices = [
      { value: "again", label: "type it again" },
      { value: "retry", label: "ask the registry again" },
      { value: "keep", label: "keep it as it is" },
      { value: "without", label: "go without" },
    ] as const;
    const next = await asker.select("What now?", choices, byDefault);
    if (next !== "retry") return next;
  }
}

/** What came of it, with what is left where that is told. */
export function trialText({ message, quota, verdict }: Trial, { serves }: Pick<RegistryAnswer, "serves">): string {
  if (quota !== undefined) return `${message}: ${quotaText(quota)}`;
  return verdict === "taken" && serves === "docker.io" ? `${message}, and tells no limit` : message;
}
