import type { Digest } from "../../../src/oci/digest.ts";
import * as types from "../../../src/oci/media-types.ts";
import { type Answer, type FakeRequest, EMPTY, bodyOf, json, page, redirect, refusal } from "./answer.ts";
import type { Content, HeldManifest } from "./content.ts";
import type { FakeUpstreamOptions } from "./types.ts";

const RESOURCE = /^\/v2\/(.+)\/(manifests|blobs|referrers|tags)\/([^/]+)$/;

interface Resource {
  readonly repository: string;
  readonly kind: "manifests" | "blobs" | "referrers" | "tags";
  readonly reference: string;
}

export interface RegistryParts {
  readonly content: Content;
  readonly options: FakeUpstreamOptions;
  readonly origin: string;
  /** Where redirects lead; undefined on the redirected-to host itself. */
  readonly redirectTo: { readonly origin: string; sign(method: string, digest: string): string } | undefined;
  refuse(request: FakeRequest, repository: string | undefined): Answer | undefined;
}

/** A registry's read side, at `/v2/`. */
export class Registry {
  readonly #parts: RegistryParts;

  constructor(parts: RegistryParts) {
    this.#parts = parts;
  }

  answer(request: FakeRequest): Answer {
    if (request.method !== "GET" && request.method !== "HEAD") return refusal(405, "UNSUPPORTED");
    const path = decodeURIComponent(request.url.pathname);
    const match = RESOURCE.exec(path);
    if (match === null) {
      if (path === "/v2/") return this.#parts.refuse(request, undefined) ?? json(200, {});
      return path.startsWith("/v2/") ? refusal(404, "NAME_UNKNOWN") : page(200);
    }
    const [, repository, kind, reference] = match as unknown as [string, string, Resource["kind"], string];
    const resource = { repository, kind, reference };
    if (kind !== "blobs" && this.#redirectsQuestions()) return redirect(307, this.#moved(path));
    return this.#parts.refuse(request, repository) ?? this.#resource(request, resource);
  }

  #redirectsQuestions(): boolean {
    return this.#parts.options.redirectManifests === true && this.#parts.redirectTo !== undefined;
  }

  #moved(path: string): string {
    return `${this.#parts.redirectTo?.origin ?? ""}${path}`;
  }

  #resource(request: FakeRequest, resource: Resource): Answer {
    if (resource.kind === "blobs") return this.#blob(request, resource);
    if (resource.kind === "manifests") return this.#counted(request, this.#manifest(request, resource));
    return resource.kind === "tags" ? this.#tags(request, resource) : this.#referrers(request, resource);
  }

  #blob(request: FakeRequest, { repository, reference }: Resource): Answer {
    const { content, options, redirectTo } = this.#parts;
    const { blobHead = "ok", redirectBlobs = false } = options;
    if (request.method === "HEAD" && blobHead !== "ok") return refusal(blobHead, "UNSUPPORTED");
    const bytes = content.blob(repository, reference);
    if (bytes === undefined) return refusal(404, "BLOB_UNKNOWN");
    if (redirectBlobs !== false && redirectTo !== undefined) {
      return redirect(redirectBlobs === true ? 307 : redirectBlobs, redirectTo.sign(request.method, reference));
    }
    const headers = { "content-type": "application/octet-stream", "accept-ranges": "bytes" };
    return { status: 200, headers: { ...headers, ...this.#marks(reference) }, body: bodyOf(bytes), rangeable: true };
  }

  #manifest(request: FakeRequest, { repository, reference }: Resource): Answer {
    const manifest = this.#parts.content.manifest(repository, reference);
    if (manifest === undefined) return refusal(404, "MANIFEST_UNKNOWN");
    const accepted = (request.headers.accept ?? "").includes(manifest.mediaType);
    if (this.#parts.options.accept === "schema1" && !accepted) return converted(repository, manifest);
    const headers = { "content-type": manifest.mediaType, ...this.#marks(manifest.digest) };
    return { status: 200, headers, body: bodyOf(manifest.bytes) };
  }

  #counted(request: FakeRequest, answer: Answer): Answer {
    const pulls = this.#parts.options.pullsOf?.(request);
    if (pulls === undefined || answer.status !== 200) return answer;
    const { limit, windowS = 21_600 } = pulls;
    const isSpent = request.method === "GET" && pulls.remaining === 0;
    if (request.method === "GET" && !isSpent) pulls.remaining -= 1;
    const counts = {
      "ratelimit-limit": `${limit};w=${windowS}`,
      "ratelimit-remaining": `${pulls.remaining};w=${windowS}`,
      "docker-ratelimit-source": "192.0.2.1",
    };
    if (!isSpent) return { ...answer, headers: { ...answer.headers, ...counts } };
    const refused = refusal(429, "TOOMANYREQUESTS");
    return { ...refused, headers: { ...refused.headers, ...counts, ...pulls.refusal } };
  }

  #marks(digest: string): Record<string, string> {
    const etag = { etag: `"${digest}"` };
    return this.#parts.options.digestHeader === false ? {} : { "docker-content-digest": digest, ...etag };
  }

  #tags(request: FakeRequest, { repository, reference }: Resource): Answer {
    if (reference !== "list") return refusal(404, "NAME_UNKNOWN");
    const { tagsPageMax = Infinity } = this.#parts.options;
    const query = request.url.searchParams;
    const n = Math.min(query.has("n") ? Number(query.get("n")) : Infinity, tagsPageMax);
    const rest = this.#parts.content.tags(repository).filter((tag) => tag > (query.get("last") ?? ""));
    const tags = rest.slice(0, n);
    const more = rest.length > tags.length && tags.length > 0;
    const next = `/v2/${repository}/tags/list?last=${encodeURIComponent(tags.at(-1) ?? "")}&n=${n}`;
    return json(200, { name: repository, tags }, more ? this.#nextLink(next) : {});
  }

  #nextLink(path: string): Record<string, string> {
    return { link: `<${this.#parts.options.absoluteLinks === true ? this.#parts.origin : ""}${path}>; rel="next"` };
  }

  #referrers(request: FakeRequest, { repository, reference }: Resource): Answer {
    const { referrers = "native", referrersPageMax = Infinity } = this.#parts.options;
    if (referrers === 404) return refusal(404, "UNSUPPORTED");
    // ghcr.io leads to its web page, and cuts the digest short on the way.
    if (referrers === "redirect-html")
      return redirect(303, `${this.#parts.origin}/${repository}?d=${reference.slice(0, 20)}`);
    const type = request.url.searchParams.get("artifactType");
    const skip = Number(request.url.searchParams.get("skip") ?? 0);
    const all = this.#parts.content.manifests(repository).filter(([, manifest]) => subjectOf(manifest) === reference);
    const wanted = all.map(descriptorOf).filter((one) => type === null || one.artifactType === type);
    const manifests = wanted.slice(skip, skip + referrersPageMax);
    const next = `/v2/${repository}/referrers/${reference}?skip=${skip + manifests.length}`;
    return json(
      200,
      { schemaVersion: 2, mediaType: types.OCI_INDEX, manifests },
      {
        "content-type": types.OCI_INDEX,
        ...(type === null ? {} : { "oci-filters-applied": "artifactType" }),
        ...(wanted.length > skip + manifests.length ? this.#nextLink(next) : {}),
      },
    );
  }
}

function subjectOf(manifest: HeldManifest): unknown {
  return (manifest.body["subject"] as { digest?: unknown } | undefined)?.digest;
}

function descriptorOf([digest, { mediaType, bytes, body }]: [Digest, HeldManifest]) {
  const config = body["config"] as { mediaType?: string } | undefined;
  const artifactType = (body["artifactType"] as string | undefined) ?? config?.mediaType;
  return { mediaType, digest, size: bytes.length, artifactType, annotations: body["annotations"] };
}

/** What quay.io makes of a manifest for a client that names no newer type: other bytes, another digest. */
function converted(repository: string, manifest: HeldManifest): Answer {
  const layers = (manifest.body["layers"] as { digest: string }[] | undefined) ?? [];
  const fsLayers = layers.map((layer) => ({ blobSum: layer.digest }));
  const answer = json(200, { schemaVersion: 1, name: repository, fsLayers, history: [] });
  return { ...answer, headers: { "content-type": types.DOCKER_SCHEMA1_SIGNED } };
}

/** An answer without its body, for `HEAD`. */
export function headOnly(answer: Answer): Answer {
  return { ...answer, body: EMPTY };
}
