import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { asDigest, asRepository, asTag } from "./vocabulary.ts";
import { type Layout, layoutOf } from "../../src/store/layout.ts";
import type { PlannedContent, PlannedImage, PlannedRepository } from "./plan.ts";

/** Writes blobs and links as the store would, but without a sync for each: nobody needs this folder after a power cut. */
export class StoreWriter {
  readonly #layout: Layout;
  readonly #folders = new Set<string>();
  blobs = 0;

  constructor(dataDir: string) {
    this.#layout = layoutOf(dataDir);
  }

  /** `withBytes`: of configurations too, not of manifests alone. */
  addBlobs({ manifests, blobs }: PlannedImage, withBytes: boolean): void {
    for (const manifest of manifests) this.#blob(manifest, true);
    for (const blob of blobs) this.#blob(blob, withBytes);
  }

  #blob({ digest, size, bytes }: PlannedContent, withBytes: boolean): void {
    const path = this.#layout.blob(asDigest(digest));
    this.#ensureFolder(dirname(dirname(path)));
    mkdirSync(dirname(path));
    const file = openSync(path, "wx", 0o644);
    if (withBytes && bytes !== undefined) writeFileSync(file, bytes);
    else ftruncateSync(file, size);
    closeSync(file);
    this.blobs += 1;
  }

  addLinks(planned: PlannedRepository, { tags, manifests, blobs }: PlannedImage): void {
    const repository = asRepository(planned);
    for (const { digest } of manifests) {
      this.#link(this.#layout.link("manifest", repository, asDigest(digest)), digest);
    }
    for (const { digest } of blobs) this.#link(this.#layout.link("layer", repository, asDigest(digest)), digest);
    const target = manifests[0]?.digest ?? "";
    for (const tag of tags) {
      this.#link(this.#layout.tagIndex(repository, asTag(tag), asDigest(target)), target);
      this.#link(this.#layout.tag(repository, asTag(tag)), target);
    }
  }

  #link(path: string, digest: string): void {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, digest);
  }

  /** Blobs lie below 256 folders: these are asked for a million times. */
  #ensureFolder(folder: string): void {
    if (this.#folders.has(folder)) return;
    mkdirSync(folder, { recursive: true });
    this.#folders.add(folder);
  }
}
