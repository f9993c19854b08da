import type { Answers } from "./answers.ts";
import type { MakingAuthority, Plan } from "./plan.ts";
import { AUTHORITY_FOLDER } from "./plan.ts";
import { askAccess } from "./questions/access.ts";
import { askAccounts } from "./questions/accounts.ts";
import { askDisk } from "./questions/disk.ts";
import { askListen, askNames, urlOf } from "./questions/reach.ts";
import { askRegistries } from "./questions/registries.ts";
import { askTls } from "./questions/tls.ts";
import type { Talk } from "./questions/world.ts";

/** All the questions, each after those whose answers change its default. Rejects with `GivenUp`. */
export async function converse(talk: Talk): Promise<Plan> {
  const registries = await askAccounts(talk, await askRegistries(talk));
  let answers: Answers = { ...talk.before, registries, listen: await askListen(talk) };
  const names = await askNames(talk, answers);
  // Names first, for a certificate is for them; then the address, which says whether there is one.
  answers = { ...answers, registries: names.registries, url: urlOf(names, answers) };
  const { tls, authority } = await askTls(talk, answers);
  answers = { ...answers, tls, url: urlOf(names, { ...answers, tls }) };
  const { access, making } = await askAccess(talk, answers, authority);
  const disk = await askDisk(talk);
  const { tokens, users } = making;
  return {
    answers: { ...answers, access, ...disk },
    making: { authority: both(authority, making), tokens, users },
  };
}

function both(
  authority: MakingAuthority | undefined,
  { clients, needsAuthority }: { readonly clients: readonly string[]; readonly needsAuthority: boolean },
): MakingAuthority | undefined {
  if (authority === undefined && !needsAuthority) return undefined;
  return { folder: AUTHORITY_FOLDER, serverNames: [], ...authority, clients };
}
