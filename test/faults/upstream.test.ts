import assert from "node:assert/strict";
import { after, before } from "node:test";
import { selfSignedCertificate } from "../support/certificate.ts";
import type { Fault } from "../support/fake-upstream.ts";
import { Life } from "../support/life.ts";
import { eventually } from "../support/open-files.ts";
import { type ColdEndings, blobUrl, largeOf, pullAll, smallOf, untilRight } from "./support/cold.ts";
import { type Ending, told } from "./support/ending.ts";
import { fault, inForm, isLong } from "./support/fault.ts";
import { hitsDuring, judgeHits } from "./support/hits.ts";
import { type Site, type SiteOptions, type Sites, TIMEOUTS, startSites } from "./support/sites.ts";
import { assertStoreIsRight } from "./support/stored.ts";

/** Beyond a budget, for a machine under load. */
const SLACK_MS = inForm({ short: 15_000, long: 0 });
/** A breaker that opened meanwhile opens for 2 s, and twice as long each time its probe fails. */
const HEALED_MAX_MS = 30_000;

/** How each kind of pull ends, as the start of what `pull` says. */
type Expected = Readonly<Record<Exclude<keyof ColdEndings, "stale">, RegExp>>;

interface UpstreamFault extends SiteOptions {
  readonly name: string;
  readonly holds: string;
  readonly budgetMs: number;
  readonly spoil: (site: Site) => void | Promise<void>;
  /** Makes the upstream well again; without it, it cannot be. */
  readonly heal?: (site: Site) => void | Promise<void>;
  readonly expected: Expected;
  /** What else is to be true of the upstream. */
  readonly also?: (site: Site) => void;
}

const REFUSED = /^50[23] /;
const LATE = /^50[34] /;
const RIGHT = /^right$/;
const NOTHING: Expected = { manifest: REFUSED, large: REFUSED, small: REFUSED, named: REFUSED };
const TOO_LATE: Expected = { manifest: LATE, large: LATE, small: LATE, named: LATE };
/** Its beginning has gone out, unless the fill failed before its reader came to that. */
const BROKEN = /^broken off( after wrong bytes)?$|^502 /;
/** What a wrong end of a body does: with the size known it is seen at once, else when the digest is. */
const NEVER_WHOLE: Expected = { manifest: REFUSED, large: BROKEN, small: REFUSED, named: REFUSED };

const expired = selfSignedCertificate(["127.0.0.1"], { validDays: [-2, -1] });

/** On every answer of the registry, for ever. */
function always(...faults: readonly Fault[]): (site: Site) => void {
  return ({ fake }) => {
    for (const one of faults) fake.script({ role: "registry" }, { ...one, times: Infinity });
  };
}

const FAULTS: readonly UpstreamFault[] = [
  {
    name: "refused",
    holds: "502 or 503 within 1 s",
    budgetMs: 1_000,
    spoil: async ({ fake }) => await fake.stop(),
    heal: async ({ fake }) => await fake.restart(),
    expected: NOTHING,
  },
  {
    name: "its name is not known to DNS",
    holds: "502 or 503 within 1 s",
    budgetMs: 1_000,
    // No label may be so long: the answer comes from the resolver itself, whatever network there is.
    registry: () => ({ upstream: `http://${"a".repeat(64)}.test` }),
    spoil: () => {},
    expected: NOTHING,
  },
  {
    name: "its TLS certificate has run out",
    holds: "502 or 503 within 1 s",
    budgetMs: 1_000,
    fake: { tls: expired },
    registry: () => ({ ca: expired.cert }),
    spoil: () => {},
    expected: NOTHING,
    also: ({ fake }) => assert.equal(fake.requests.length, 0, "nothing is asked over a connection that is not trusted"),
  },
  {
    name: "accepts, and never answers",
    holds: "504 or 503 within two headers_timeouts and 1 s",
    budgetMs: 2 * TIMEOUTS.headersMs + 1_000,
    spoil: always({ kind: "hang" }),
    expected: TOO_LATE,
  },
  {
    name: "stalls once in mid-body",
    holds: "right bytes within idle_timeout (1 s) and 2 s, the rest fetched by Range",
    budgetMs: 3_000,
    // The stall is to be noticed, and nothing else taken for one.
    registry: () => ({ timeouts: { ...TIMEOUTS, connectMs: 10_000, headersMs: 10_000, idleMs: 1_000 } }),
    spoil: ({ fake, cold, named }) => {
      for (const { digest } of [...cold.layers, ...named.layers]) {
        fake.script({ path: digest }, { kind: "stall", atByte: 1_000 });
      }
    },
    expected: { manifest: RIGHT, large: RIGHT, small: RIGHT, named: RIGHT },
    also: ({ fake }) => assert.ok(fake.count({ ranged: true }) >= 3),
  },
  {
    name: "stalls for ever in mid-body",
    holds: "504, or the connection broken after right bytes, within four idle_timeouts and 3 s",
    budgetMs: 4 * TIMEOUTS.idleMs + 3_000,
    spoil: ({ fake, cold, named }) => {
      const ever = { kind: "stall", atByte: 0, times: Infinity } as const;
      for (const image of [cold, named]) {
        fake.script({ path: largeOf(image).digest }, { kind: "stall", atByte: 200_000 }, ever);
      }
      fake.script({ path: smallOf(cold).digest }, ever);
      fake.script({ path: "/manifests/" }, ever);
    },
    // Of the large ones the beginning has gone out.
    expected: { manifest: LATE, large: /^broken off$/, small: LATE, named: /^broken off$/ },
  },
  {
    name: "headers without an end",
    holds: "502 or 503 within 1 s",
    budgetMs: 1_000,
    spoil: always({ kind: "endlessHeaders" }),
    expected: NOTHING,
  },
  {
    name: "one header every 50 ms without an end",
    holds: "504 or 503 within two headers_timeouts and 1 s",
    budgetMs: 2 * TIMEOUTS.headersMs + 1_000,
    spoil: always({ kind: "endlessHeaders", everyMs: 50 }),
    expected: TOO_LATE,
  },
  {
    name: "bodies are shorter than the truth",
    holds: "never whole at a client: 502 where the size is known or nothing was sent, else broken off; within 1 s",
    budgetMs: 1_000,
    spoil: always({ kind: "short", bytes: 10 }),
    expected: NEVER_WHOLE,
  },
  {
    name: "bodies are longer than the truth",
    holds: "never whole at a client, as above; within 1 s",
    budgetMs: 1_000,
    spoil: always({ kind: "long", bytes: 10 }),
    expected: NEVER_WHOLE,
  },
  {
    name: "Content-Length promises more than comes",
    holds: "never whole at a client, as above; within 3 s",
    budgetMs: 3_000,
    spoil: always({ kind: "length", contentLength: 500_000 }),
    expected: NEVER_WHOLE,
  },
  {
    name: "Content-Length promises less than comes",
    holds: "never whole at a client, as above; within 1 s",
    budgetMs: 1_000,
    spoil: always({ kind: "length", contentLength: 250 }),
    expected: { ...NEVER_WHOLE, large: REFUSED },
  },
  {
    name: "a bit is wrong in every body",
    holds: "never whole at a client, as above; within 1 s",
    budgetMs: 1_000,
    spoil: always({ kind: "corrupt", atByte: 100 }),
    // The size is right, so that nobody knows before the end, and what has gone out cannot be taken back.
    expected: {
      manifest: REFUSED,
      large: BROKEN,
      small: REFUSED,
      named: BROKEN,
    },
  },
  {
    name: "bodies are gzip-encoded although identity was asked for",
    holds: "502 or 503 within 1 s",
    budgetMs: 1_000,
    spoil: always({ kind: "gzip" }),
    expected: NOTHING,
  },
  {
    name: "an HTML page with 200 in place of everything",
    holds: "502 or 503 within 1 s",
    budgetMs: 1_000,
    spoil: always({ kind: "html" }),
    expected: NOTHING,
  },
  {
    name: "a redirect loop",
    holds: "502 or 503 within 1 s, after at most 7 requests for each question",
    budgetMs: 1_000,
    spoil: (site) => always({ kind: "redirect", location: `${site.fake.url}/v2/app/manifests/loop` })(site),
    expected: NOTHING,
    also: ({ fake }) => assert.ok(fake.requests.length <= 7 * 8, `${fake.requests.length} requests`),
  },
  {
    name: "a redirect to a private address",
    holds: "502 or 503 within 1 s, and nobody there is asked",
    budgetMs: 1_000,
    registry: () => ({ allowPrivateAddresses: false }),
    spoil: ({ fake, cold, named }) => {
      const inside = `localhost:${new URL(fake.cdnUrl).port}`;
      for (const { digest } of cold.layers) {
        fake.script(
          { path: digest },
          { kind: "redirect", location: `http://${inside}/data/${digest}`, times: Infinity },
        );
      }
      const literal = { kind: "redirect", location: `${fake.cdnUrl}/data/`, times: Infinity } as const;
      fake.script({ path: largeOf(named).digest }, literal);
      fake.script({ path: "/manifests/" }, literal);
    },
    expected: NOTHING,
    also: ({ fake }) => assert.deepEqual(fake.connections("cdn"), { accepted: 0, open: 0 }),
  },
  {
    name: "every answer is 500",
    holds: "502 or 503 within 1 s",
    budgetMs: 1_000,
    spoil: always({ kind: "status", status: 500 }),
    expected: NOTHING,
  },
];

const life = new Life();
let sites: Sites;

before(async () => {
  sites = await startSites(life, new Map(FAULTS.map((one, index) => [`site${index}`, one])));
});
after(async () => await life.end());

for (const [index, one] of FAULTS.entries()) {
  fault(`upstream: ${one.name}`, `${one.holds}; held content in < 50 ms`, async (t) => {
    const site = sites.get(`site${index}`);
    await one.spoil(site);
    const pulling = pullAll(site);
    const hits = judgeHits(await hitsDuring(site.held, pulling));
    const endings = await pulling;
    judge(one, endings);
    one.also?.(site);
    await assertNothingWrongIsStored(site, endings);
    t.show(`cold manifest ${told(endings.manifest)}`);
    t.show(`blob of unknown size ${told([...endings.large, ...endings.small])}`);
    t.show(`blob of known size ${told(endings.named)}`);
    t.show(`held tag that is to be asked for ${told(endings.stale)}`);
    t.show(hits);
    if (isLong && one.heal !== undefined) {
      await one.heal(site);
      const bytes = largeOf(site.cold).bytes;
      t.show(`right ${Math.round(await untilRight(blobUrl(site, largeOf(site.cold)), bytes, HEALED_MAX_MS))} ms after`);
    }
  });
}

function judge({ expected, budgetMs }: UpstreamFault, endings: ColdEndings): void {
  for (const kind of ["manifest", "large", "small", "named"] as const) {
    for (const { how, afterMs } of endings[kind]) {
      assert.match(how, expected[kind], `${kind}: ${JSON.stringify(endings)}`);
      assert.ok(afterMs < budgetMs + SLACK_MS, `${kind}: ${afterMs} ms, more than ${budgetMs} ms`);
    }
  }
  for (const { how, afterMs } of endings.stale) {
    assert.equal(how, "right", "a held tag is served whatever upstream does");
    assert.ok(afterMs < TIMEOUTS.askBudgetMs + 500 + SLACK_MS, `a held tag took ${afterMs} ms`);
  }
}

async function assertNothingWrongIsStored({ cold, named }: Site, endings: ColdEndings): Promise<void> {
  const pulled = [
    [largeOf(cold), endings.large],
    [smallOf(cold), endings.small],
    [largeOf(named), endings.named],
    [cold, endings.manifest],
  ] as const;
  const came = (its: readonly Ending[]) => its.every(({ how }) => how === "right");
  // Clients have all bytes a moment before they are kept.
  await eventually(async () => {
    const stored = await assertStoreIsRight(sites.dataDir);
    return pulled.every(([{ digest }, its]) => stored.has(digest) || !came(its));
  });
  const stored = await assertStoreIsRight(sites.dataDir);
  for (const [{ digest }, its] of pulled)
    if (!came(its)) assert.ok(!stored.has(digest), `${digest} did not come whole`);
}
