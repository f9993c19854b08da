import { setImmediate as otherWork } from "node:timers/promises";
import pLimit from "p-limit";
import type { Catalog, Unlisted } from "../../catalog/catalog.ts";
import type { ImageCatalog, ImagePlace, ImageRow } from "../../catalog/images.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseReference, parseRepositoryName, type Repository } from "../../oci/reference.ts";
import { type DescribeOptions, describeImage } from "./describe.ts";
import { compileFilter } from "./filter.ts";
import {
  type HeldSummary,
  type ImagesAsked,
  type ImagesPage,
  IMAGES_PER_PAGE_MAX,
  type ImagesView,
  type InventoryImage,
  PULLERS_SHOWN_MAX,
  type RepositoriesAsked,
  type RepositoriesPage,
} from "./image.ts";
import { cursorOf, First, type ListOrder, orderOf, parseCursor, type Place, placeOf } from "./order.ts";
import { Sizes } from "./sizes.ts";

export interface ImagesViewOptions extends Pick<DescribeOptions, "platformOf"> {
  readonly catalog: ImageCatalog & Pick<Catalog, "countImages" | "heldBytes" | "leaving" | "rootsOf" | "tag">;
  /** What is left out; undefined: nothing. */
  readonly except?: Unlisted | undefined;
}

/** Images in one question. */
const IMAGES_PER_QUERY = 50;
/** Lists that are put together at once, whoever asks: the others wait. */
const LISTS_AT_ONCE = 2;
/** With one image before us. */
const PULLERS_OF_ONE_MAX = 100;

/** A list by name reads as far as it needs to; any other one looks at all images, in pieces, and keeps no more than a page of them. */
export function imagesView({ catalog, except, platformOf }: ImagesViewOptions): ImagesView {
  const sizes = new Sizes(catalog);
  const ofDescription = { catalog, sizes, platformOf };
  const limit = pLimit(LISTS_AT_ONCE);
  return {
    images: async (asked, signal) =>
      await limit(async () => {
        const found = await foundImages({ catalog, sizes, except }, asked, signal);
        const images: InventoryImage[] = [];
        for (const row of found.rows) {
          signal.throwIfAborted();
          images.push(await describeImage(ofDescription, row, PULLERS_SHOWN_MAX));
          await otherWork();
        }
        return { images, next: found.next } satisfies ImagesPage;
      }),
    image: async (path, reference) => {
      const row = await rowOf(catalog, except, path, reference);
      return row === undefined ? undefined : await describeImage(ofDescription, row, PULLERS_OF_ONE_MAX);
    },
    repositories: async (asked) => await repositoriesPage(catalog, except, asked),
    registries: async (signal) => await registrySums(catalog, signal),
  };
}

interface Finding {
  readonly catalog: ImageCatalog;
  readonly sizes: Sizes;
  readonly except: Unlisted | undefined;
}

async function foundImages(
  finding: Finding,
  { filter, sort, isReverse = false, limit: asked, after }: ImagesAsked,
  signal: AbortSignal,
): Promise<{ rows: readonly ImageRow[]; next: string | undefined }> {
  const limit = Math.min(asked, IMAGES_PER_PAGE_MAX);
  const list: ListOrder = isReverse ? `-${sort}` : sort;
  const order = orderOf(isReverse);
  const from = after === undefined ? undefined : parseCursor(list, after);
  const matches = compileFilter(filter);
  // One more than wanted tells whether there is one.
  const first = new First<ImageRow>(limit + 1, order);
  // As the catalog has them, so that a page's end is the end of looking.
  const isByName = sort === "name" && !isReverse;
  let last: ImagePlace | undefined = isByName ? from : undefined;
  for (let more = true; more && !(isByName && first.items.length > limit);) {
    signal.throwIfAborted();
    const rows: ImageRow[] = await finding.catalog.images({
      registryId: filter.registryId,
      after: last,
      limit: IMAGES_PER_QUERY,
      except: finding.except,
    });
    for (const { row, size } of await sized(finding, rows.filter(matches), filter.largerThan, sort === "size")) {
      const place = placeOf(row, sort, size);
      if (from === undefined || order(from, place) < 0) first.put(place, row);
    }
    more = rows.length === IMAGES_PER_QUERY;
    const end = rows.at(-1);
    if (end !== undefined) last = { path: `${end.serves}/${end.repository}`, digest: end.digest };
    await otherWork();
  }
  const shown = first.items.slice(0, limit);
  const end: Place | undefined = first.items.length > limit ? shown.at(-1)?.place : undefined;
  return { rows: shown.map(({ item }) => item), next: end === undefined ? undefined : cursorOf(list, end) };
}

/** Sizes cost most: they are asked for where they matter. */
async function sized(
  { sizes }: Finding,
  rows: readonly ImageRow[],
  largerThan: number | undefined,
  isBySize: boolean,
): Promise<{ row: ImageRow; size: number }[]> {
  if (largerThan === undefined && !isBySize) return rows.map((row) => ({ row, size: 0 }));
  const known = await sizes.lately(rows.map(({ id }) => id));
  const all = rows.map((row) => ({ row, size: known.get(row.id) ?? 0 }));
  return largerThan === undefined ? all : all.filter(({ size }) => size > largerThan);
}

async function rowOf(
  catalog: ImagesViewOptions["catalog"],
  except: Unlisted | undefined,
  path: string,
  text: string,
): Promise<ImageRow | undefined> {
  const repository = repositoryAt(path);
  const reference = parseReference(text);
  if (repository === undefined || typeof reference === "string") return undefined;
  const digest: Digest | undefined =
    reference.kind === "digest" ? reference.digest : (await catalog.tag(repository, reference.tag))?.digest;
  if (digest === undefined) return undefined;
  const [root] = await catalog.rootsOf(repository, digest);
  return root === undefined ? undefined : (await catalog.images({ path, digest: root, limit: 1, except }))[0];
}

/** The catalog finds repositories by their path. */
function repositoryAt(path: string): Repository | undefined {
  const slash = path.indexOf("/");
  const name = slash === -1 ? undefined : parseRepositoryName(path.slice(slash + 1));
  return name === undefined ? undefined : { registryId: "", serves: path.slice(0, slash), name };
}

async function repositoriesPage(
  catalog: ImageCatalog,
  except: Unlisted | undefined,
  { registryId, after, limit: asked }: RepositoriesAsked,
): Promise<RepositoriesPage> {
  const limit = Math.min(asked, IMAGES_PER_PAGE_MAX);
  const found = await catalog.repositorySummaries({
    limit: limit + 1,
    ...(registryId === undefined ? {} : { registryId }),
    ...(after === undefined ? {} : { last: after }),
    ...(except === undefined ? {} : { except }),
  });
  const repositories = found.slice(0, limit);
  const end = repositories.at(-1);
  const isMore = found.length > limit && end !== undefined;
  return { repositories, next: isMore ? `${end.serves}/${end.repository}` : undefined };
}

/** What nobody lists is counted all the same. */
async function registrySums(catalog: ImagesViewOptions["catalog"], signal: AbortSignal): Promise<HeldSummary[]> {
  const { byRegistry } = await catalog.heldBytes();
  const tags = await catalog.countImages();
  const sums = new Map<string, { repositories: number; images: number }>();
  let last: string | undefined;
  for (let more = true; more;) {
    signal.throwIfAborted();
    const found = await catalog.repositorySummaries({
      limit: IMAGES_PER_QUERY,
      ...(last === undefined ? {} : { last }),
    });
    for (const { registryId, images } of found) {
      const sum = sums.get(registryId) ?? { repositories: 0, images: 0 };
      sums.set(registryId, { repositories: sum.repositories + 1, images: sum.images + images });
    }
    const end = found.at(-1);
    if (end !== undefined) last = `${end.serves}/${end.repository}`;
    more = found.length === IMAGES_PER_QUERY;
    await otherWork();
  }
  return [...new Set([...sums.keys(), ...byRegistry.keys()])].toSorted().map((registryId) => ({
    registryId,
    repositories: sums.get(registryId)?.repositories ?? 0,
    images: sums.get(registryId)?.images ?? 0,
    tags: tags.get(registryId) ?? 0,
    bytes: byRegistry.get(registryId)?.bytes ?? 0,
  }));
}
