import { Rules, twinsOf } from "./access/rules.ts";
import type { Config } from "./config/config.ts";
import { formatDuration } from "./lib/units.ts";
import { RegistryError } from "./oci/errors.ts";
import { parseReference } from "./oci/reference.ts";
import { RegistryTable, repositoryOf } from "./server/find-registry.ts";

/** Whether somebody may pull an image by the rules, in a sentence. */
export interface Explanation {
  readonly isAllowed: boolean;
  readonly text: string;
}

/**
 * What `access.rules` say of a pull: `image` is a reference as clients write it (`ghcr.io/org/app:1`, `nginx`). Throws a
 * `RegistryError` for what is no image, or of no registry here.
 */
export function explainAccess(config: Config, who: string, image: string): Explanation {
  const { name, reference } = split(image);
  const table = new RegistryTable(config.registries, config.defaultRegistry);
  const found = table.find({ host: undefined, prefix: undefined, name: name.split("/"), ns: [] });
  const repository = repositoryOf(found);
  const parsed = parseReference(reference);
  if (typeof parsed === "string") throw new RegistryError(400, "NAME_INVALID", `${JSON.stringify(image)} is no image`);
  const wanted = { registryId: repository.registryId, repository: repository.name };
  const rules = new Rules(config.access.rules);
  const tags = parsed.kind === "tag" ? [parsed.tag] : [];
  const { isAllowed, rule, minAgeMs } = rules.verdictWithTwins(
    who,
    { ...wanted, tags },
    twinsOf(config.registries, wanted.registryId),
  );
  const what = `${repository.serves}/${repository.name}${parsed.kind === "tag" ? `:${reference}` : `@${reference}`}`;
  const because =
    rule === undefined
      ? "no rule is about that"
      : `rule ${rule} of access.rules ${isAllowed ? "allows" : "forbids"} it`;
  const age = minAgeMs === 0 ? "" : `, once it has been known here for ${formatDuration(minAgeMs)}`;
  const hidden =
    parsed.kind === "digest" && rules.askForTags(wanted) ? "; a running cache also asks which tags lead to it" : "";
  return { isAllowed, text: `${who} ${isAllowed ? "may" : "may not"} pull ${what}: ${because}${age}${hidden}` };
}

/** `latest` where neither tag nor digest is said, as every client has it. */
function split(image: string): { readonly name: string; readonly reference: string } {
  const at = image.indexOf("@");
  if (at !== -1) return { name: image.slice(0, at).replace(/:[^:/]*$/, ""), reference: image.slice(at + 1) };
  const [, name = image, tag = "latest"] = /^(.*[^/]):([^:/]+)$/.exec(image) ?? [];
  return { name, reference: tag };
}
