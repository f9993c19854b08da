import type { Digest } from "../oci/digest.ts";
import { MANIFEST_BYTES_MAX } from "../oci/manifest.ts";
import { OCI_INDEX } from "../oci/media-types.ts";
import { type RepositoryName, parseTag } from "../oci/reference.ts";
import { isHtml, protocolError, requireStatus } from "./answers.ts";
import { discard, readAll } from "./bodies.ts";
import type { Exchange } from "./exchange.ts";
import { type Page, readPages } from "./pages.ts";

/** What is asked for; quay.io gives 100 at most, whatever one asks for. */
export const TAG_PAGE_SIZE = 1000;
export const TAG_PAGES_MAX = 1000;
/** All pages together. */
export const TAG_LIST_BYTES_MAX = 32 * 1024 * 1024;
export const REFERRERS_PAGES_MAX = 100;

const LIST = { method: "GET", asked: "list" } as const;

/** Answers by which a registry says that it has no referrers API. */
const NO_REFERRERS: ReadonlySet<number> = new Set([404, 405, 501]);
/** ghcr.io leads to a web page, with the digest cut short. */
const SEE_OTHER = 303;

export async function listTags(
  exchange: Exchange,
  name: RepositoryName,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const limits = { pagesMax: TAG_PAGES_MAX, bytesMax: TAG_LIST_BYTES_MAX };
  const start = exchange.url(`/v2/${name}/tags/list?n=${TAG_PAGE_SIZE}`);
  const pages = await readPages(start, limits, async (url, bytesMax) => {
    const question = { ...LIST, url, repository: name, headers: { accept: "application/json" } };
    const answer = await exchange.ask(question, signal);
    await requireStatus(answer, signal, 200);
    return { answer, bytes: await readAll(answer, bytesMax, signal) };
  });
  return [...new Set(pages.flatMap(tagsOf))];
}

/** Asks for one tag. Rejects as the others do where the asker may not see the repository. */
export async function assertListed(exchange: Exchange, name: RepositoryName, signal: AbortSignal): Promise<void> {
  const url = exchange.url(`/v2/${name}/tags/list?n=1`);
  const question = { ...LIST, url, repository: name, headers: { accept: "application/json" } };
  const answer = await exchange.ask(question, signal);
  await requireStatus(answer, signal, 200);
  // A web page that is sent instead is no list.
  if (isHtml(answer)) {
    discard(answer);
    throw protocolError(answer, "a web page instead of a list of tags");
  }
  discard(answer);
}

/** Some registries say `null` for none. What is no tag could not be pulled, so it is left out. */
function tagsOf(page: Page): string[] {
  const tags = objectOf(page)["tags"] ?? [];
  if (!Array.isArray(tags)) throw protocolError(page.answer, "something that is no list of tags");
  return tags.filter((tag): tag is string => typeof tag === "string" && parseTag(tag) !== undefined);
}

export async function getReferrers(
  exchange: Exchange,
  name: RepositoryName,
  subject: Digest,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const limits = { pagesMax: REFERRERS_PAGES_MAX, bytesMax: MANIFEST_BYTES_MAX };
  const start = exchange.url(`/v2/${name}/referrers/${subject}`);
  const pages = await readPages(start, limits, async (url, bytesMax) => {
    const headers = { accept: OCI_INDEX };
    const answer = await exchange.ask({ ...LIST, url, repository: name, headers, unfollowed: SEE_OTHER }, signal);
    if (NO_REFERRERS.has(answer.status) || answer.status === SEE_OTHER || (answer.status === 200 && isHtml(answer))) {
      discard(answer);
      return undefined;
    }
    await requireStatus(answer, signal, 200);
    return { answer, bytes: await readAll(answer, bytesMax, signal) };
  });
  return merged(pages);
}

/** One page stays byte for byte as it came. */
function merged(pages: readonly Page[]): Uint8Array | undefined {
  const [first, ...further] = pages;
  if (first === undefined || further.length === 0) return first?.bytes;
  const manifests = pages.flatMap((page) => {
    const of = objectOf(page)["manifests"];
    if (!Array.isArray(of)) throw protocolError(page.answer, "something that is no index");
    return of as unknown[];
  });
  return Buffer.from(JSON.stringify({ ...objectOf(first), manifests }));
}

function objectOf(page: Page): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(page.bytes).toString());
  } catch {
    throw protocolError(page.answer, "something that is not JSON");
  }
  if (typeof value !== "object" || value === null) throw protocolError(page.answer, "JSON that is no object");
  return value as Record<string, unknown>;
}
