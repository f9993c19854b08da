import { z } from "zod";
import { type Place, textAt } from "./ask-us.ts";
import { type Finding, type Check, ok, skipped, warning } from "./finding.ts";
import type { AtAddress } from "./addresses.ts";

const shape = z.object({
  bypassing: z.array(
    z.object({ client: z.string(), userAgent: z.string(), challenges: z.number(), lastAt: z.string() }),
  ),
});

export type Bypassing = z.infer<typeof shape>["bypassing"];

/** What the running cache knows of its clients; nothing where none runs. */
export function clientsCheck(asked: Promise<readonly AtAddress[]>, places: readonly Place[]): Check {
  return {
    title: "Clients",
    look: async () => {
      const at = (await asked).findIndex(({ answered }) => answered.kind === "cache");
      const place = places[at];
      return place === undefined ? [] : await lookAt(place);
    },
  };
}

async function lookAt(place: Place): Promise<readonly Finding[]> {
  const { status, text } = await textAt(place, "/api/v1/bypassing").catch(() => ({ status: 0, text: "" }));
  if (status === 401 || status === 403) {
    return [skipped("which hosts pass the cache by is told to whoever may pull everything, not to this shell")];
  }
  const read = shape.safeParse(status === 200 ? JSON.parse(text) : undefined);
  return read.success
    ? judgeBypassing(read.data.bypassing)
    : [skipped("the cache does not say which hosts pass it by")];
}

/** Of more than these the first ones are told. */
const HOSTS_TOLD_MAX = 5;

export function judgeBypassing(bypassing: Bypassing): readonly Finding[] {
  if (bypassing.length === 0) return [ok("no host that was asked who it is has stayed away")];
  const told = bypassing
    .slice(0, HOSTS_TOLD_MAX)
    .map(({ client, userAgent, challenges }) =>
      warning(
        `${client} was asked ${challenges} times who it is and did not come back: it pulls without the cache (${userAgent || "no name"})`,
        "run there: curl -fsSL CACHE/connect/doctor | sh",
      ),
    );
  const more = bypassing.length - told.length;
  return more <= 0 ? told : [...told, warning(`${more} more hosts as well`, "see /api/v1/bypassing")];
}
