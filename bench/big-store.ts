import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CatalogWriter } from "./big-store/catalog-writer.ts";
import { imagesOf, type PlannedRepository, repositoryAt, TAGS_PER_TEN_REPOSITORIES } from "./big-store/plan.ts";
import { StoreWriter } from "./big-store/store-writer.ts";

/** Another number makes the next run build its stores anew. */
const VERSION = 1;
/** Every tag of the plan brings ten blobs: manifests, configurations, layers. */
export const BLOBS_PER_TAG = 10;
/** Repositories whose content can really be pulled: the first ones, the same in every store. */
export const PULLABLE_REPOSITORIES = 250;
/** Tags of the smallest store, in which everything can be pulled. */
export const PULLABLE_TAGS = (PULLABLE_REPOSITORIES / 10) * TAGS_PER_TEN_REPOSITORIES;

/** A store on disk with its catalog, for `data_dir`. */
export interface BigStore {
  readonly dataDir: string;
  readonly repositories: number;
  readonly tags: number;
  readonly blobs: number;
  /** Request paths that are hits here, in no order: manifests by tag and by digest, configurations. */
  readonly hits: readonly string[];
}

/**
 * Makes a store as many pulls would have left it, or finds the one that an earlier run has made there.
 *
 * What is real: the whole catalog (manifests, references, blobs, tags, their history), a folder and a file for each blob
 * with the right size, all manifests with their bytes, and whatever belongs to the first PULLABLE_REPOSITORIES. What is
 * left out, since ext4 takes 4 KiB for every folder and 10 GB would be nothing but links: links and tags of the other
 * repositories on disk; and the bytes of layers, whose files are sparse. Nothing reads these to start or to answer a hit.
 */
export async function makeBigStore(dataDir: string, { tags }: { readonly tags: number }): Promise<BigStore> {
  const known = await read(dataDir);
  if (known !== undefined) return known;
  const work = `${dataDir}.partial`;
  for (const folder of [work, dataDir]) await rm(folder, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  const made = await build(work, dataDir, tags);
  await writeFile(join(work, MARK), JSON.stringify({ version: VERSION, ...made }));
  await mkdir(dirname(dataDir), { recursive: true });
  await rename(work, dataDir);
  return made;
}

/** Written last. */
const MARK = "big-store.json";

async function read(dataDir: string): Promise<BigStore | undefined> {
  const text = await readFile(join(dataDir, MARK), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const { version, ...made } = JSON.parse(text) as BigStore & { version: number };
  return version === VERSION ? { ...made, dataDir } : undefined;
}

async function build(work: string, dataDir: string, tags: number): Promise<BigStore> {
  const store = new StoreWriter(work);
  const catalog = await CatalogWriter.open(join(work, "catalog.sqlite"));
  const hits: string[] = [];
  let [index, madeTags] = [0, 0];
  for (; madeTags < tags; index += 1) {
    const repository = repositoryAt(index);
    const isPullable = index < PULLABLE_REPOSITORIES;
    catalog.beginRepository(repository);
    for (const image of imagesOf(repository)) {
      catalog.addImage(image);
      store.addBlobs(image, isPullable);
      if (isPullable) {
        store.addLinks(repository, image);
        hits.push(...hitsOf(repository, image));
      }
      madeTags += image.tags.length;
    }
  }
  catalog.finish();
  return { dataDir, repositories: index, tags: madeTags, blobs: store.blobs, hits };
}

function hitsOf(
  { path }: PlannedRepository,
  { tags, manifests, blobs }: ReturnType<typeof imagesOf>[number],
): string[] {
  return [
    ...tags.map((tag) => `/v2/${path}/manifests/${tag}`),
    ...manifests.map(({ digest }) => `/v2/${path}/manifests/${digest}`),
    ...blobs.filter(({ bytes }) => bytes !== undefined).map(({ digest }) => `/v2/${path}/blobs/${digest}`),
  ];
}

if (import.meta.main) {
  const startMs = performance.now();
  const { hits, ...made } = await makeBigStore(process.argv[2] ?? "", { tags: Number(process.argv[3]) });
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  process.stdout.write(`${JSON.stringify({ ...made, hits: hits.length, seconds })}\n`);
}
