import { assertOffered } from "../access/challenges.ts";
import { type MinAge, Quarantine } from "../access/quarantine.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { RegistryError } from "../oci/errors.ts";
import { OCI_INDEX } from "../oci/media-types.ts";
import { contentOf, type Content } from "./repository-content.ts";
import { parseRepositoryName, type Reference, referenceText, type Repository } from "../oci/reference.ts";
import type { Endpoint } from "../oci/route.ts";
import type { ManifestAnswer } from "../pull/manifests.ts";
import type { Pull } from "../pull/pull.ts";
import { listReferrers } from "../pull/referrers.ts";
import { listTags } from "../pull/tags.ts";
import { Admissions } from "./admissions.ts";
import { noted, sendBlob, sendBlobHead, sendManifest } from "./answers.ts";
import { askedOf, isApiPath } from "./asked.ts";
import type { Exchange } from "./exchange.ts";
import { type FoundRegistry, type RegistryTable, repositoryOf } from "./find-registry.ts";
import { challengedOf } from "./guard.ts";
import { oldEnough } from "./kept-back.ts";
import type { KnownHosts } from "./known-hosts.ts";
import { nextPage, pageOf, UNPAGED_ITEMS_MAX } from "./pages.ts";
import { sendJson } from "./respond.ts";

export interface ApiOptions {
  readonly pull: Pull;
  readonly catalog: Pick<Catalog, "firstSeen" | "tagHistory" | "tagsOf">;
  readonly listed: Pick<Catalog, "repositories">;
  readonly registries: RegistryTable;
  readonly hosts: KnownHosts;
}

/** The registry API below `/v2/`: request -> route -> pull -> response. */
export class Api {
  readonly #o: ApiOptions;
  readonly #quarantine: Quarantine;
  readonly #admissions: Admissions;

  constructor(options: ApiOptions) {
    this.#o = options;
    this.#quarantine = new Quarantine(options.catalog);
    this.#admissions = new Admissions(options.pull);
  }

  /** False where the path is not of this API. Rejects with `RegistryError`. */
  async handle(exchange: Exchange): Promise<boolean> {
    if (!isApiPath(exchange.path)) return false;
    exchange.headers["Docker-Distribution-API-Version"] = "registry/2.0";
    assertReading(exchange);
    const asked = askedOf(exchange, this.#o.registries);
    if (asked === undefined) return false;
    const { endpoint, found } = asked;
    if (found.namespace !== undefined) exchange.headers["OCI-Namespace"] = found.namespace;
    exchange.notes.endpoint = endpoint.kind;
    exchange.notes.registry = found.registry.id;
    // By the name that the client has for it; one that is malformed is none.
    const challenged = () => challengedOf(exchange, parseRepositoryName(found.name.join("/")));
    exchange.access.assertIn(exchange.identity, found.registry, challenged);
    assertSecretIsNoName(exchange);
    assertForPath(exchange, endpoint);
    await this.#answer(exchange, endpoint, found);
    return true;
  }

  async #answer(exchange: Exchange, endpoint: Endpoint, found: FoundRegistry): Promise<void> {
    switch (endpoint.kind) {
      case "ping":
        assertWhole(found);
        // Docker and Podman look for a challenge here and nowhere else.
        if (found.isByHost && found.registry.passThrough)
          assertOffered(exchange.identity, () => challengedOf(exchange));
        return sendJson(exchange, 200, {});
      case "catalog":
        return await this.#catalog(exchange, found);
      case "upload":
        throw readOnly();
      case "manifest":
      case "blob":
      case "tags":
      case "referrers":
        return await this.#inRepository(exchange, endpoint, found);
    }
  }

  async #inRepository(exchange: Exchange, endpoint: InRepository, found: FoundRegistry): Promise<void> {
    const repository = repositoryOf(found);
    exchange.notes.repository = repository.name;
    // Nothing that is known of content may show before upstream has let the client in, and no credentials go there for what is forbidden.
    assertByName(exchange, repository, endpoint);
    const heldOnly = found.registry.passThrough
      ? await this.#admissions.assertIn(exchange, repository, found)
      : undefined;
    const content = contentOf(this.#o.pull, repository, heldOnly);
    this.#o.hosts.assertShown(repository, exchange);
    const minAge = await this.#assertMay(exchange, repository, endpoint);
    switch (endpoint.kind) {
      case "manifest":
        exchange.notes.reference = referenceText(endpoint.reference);
        return await sendManifest(exchange, await this.#manifest(content, repository, endpoint.reference, minAge));
      case "blob":
        exchange.notes.reference = endpoint.digest;
        if (minAge !== undefined)
          await this.#quarantine.assertOver(repository, endpoint.digest, "blob", minAge, Date.now());
        return await this.#blob(exchange, content, endpoint);
      case "tags":
        await heldOnly?.settled();
        return await this.#tags(exchange, repository);
      case "referrers":
        exchange.notes.reference = endpoint.digest;
        await heldOnly?.settled();
        return await this.#referrers(exchange, repository, endpoint);
    }
  }

  /** A digest is judged by the tags that are known to lead to it: a rule about tags is not got around by asking for digests. */
  async #assertMay(
    { access, identity }: Exchange,
    repository: Repository,
    endpoint: InRepository,
  ): Promise<MinAge | undefined> {
    const asked = { registryId: repository.registryId, repository: repository.name };
    const tags = tagsByName(endpoint) ?? [];
    const digest = digestOf(endpoint);
    if (digest === undefined || !access.rules.askForTags(asked)) return access.assertMay(identity, { ...asked, tags });
    const kind = endpoint.kind === "blob" ? "blob" : "manifest";
    const held = await this.#o.pull.heldOver(repository, digest);
    const leading = await this.#o.catalog.tagsOf(repository, digest, kind);
    return access.assertMay(identity, { ...asked, tags: [...new Set([...leading, ...held])] });
  }

  async #manifest(
    { manifest }: Content,
    repository: Repository,
    reference: Reference,
    minAge: MinAge | undefined,
  ): Promise<ManifestAnswer> {
    if (minAge === undefined) return await manifest(reference);
    return await oldEnough(this.#quarantine, manifest, repository, reference, minAge);
  }

  async #blob(exchange: Exchange, content: Content, { digest }: Extract<Endpoint, { kind: "blob" }>): Promise<void> {
    const { signal } = exchange;
    if (exchange.isHead) return await sendBlobHead(exchange, digest, await content.blobHead(digest, signal));
    await sendBlob(exchange, await content.blob(digest, signal));
  }

  async #tags(exchange: Exchange, repository: Repository): Promise<void> {
    const page = pageOf(exchange.query);
    const { tags, outcome } = await listTags(this.#o.pull.lists, repository);
    const shown = nextPage(tags, page);
    const headers = {
      ...noted(exchange, outcome),
      ...linkHeader(exchange, shown.more, page.n ?? UNPAGED_ITEMS_MAX, shown.items.at(-1)),
    };
    sendJson(exchange, 200, { name: repository.name, tags: shown.items }, headers);
  }

  async #referrers(
    exchange: Exchange,
    repository: Repository,
    { digest }: Extract<Endpoint, { kind: "referrers" }>,
  ): Promise<void> {
    const artifactType = exchange.query.get("artifactType") ?? undefined;
    const { index, isFiltered, outcome } = await listReferrers(this.#o.pull.lists, repository, digest, artifactType);
    sendJson(exchange, 200, index, {
      "Content-Type": OCI_INDEX,
      ...noted(exchange, outcome),
      ...(isFiltered ? { "OCI-Filters-Applied": "artifactType" } : {}),
    });
  }

  /** What is held: by one registry with its own names, or everything under names that can be pulled here. */
  async #catalog(exchange: Exchange, found: FoundRegistry): Promise<void> {
    assertWhole(found);
    this.#o.hosts.assertOwn(exchange);
    if (!found.isExplicit) exchange.access.assertInEverywhere(exchange.identity, () => challengedOf(exchange));
    const page = pageOf(exchange.query);
    const prefix = `${found.registry.serves}/`;
    const limit = (page.n ?? CATALOG_PAGE) + 1;
    const query = found.isExplicit
      ? { registryId: found.registry.id, ...(page.last === undefined ? {} : { last: prefix + page.last }), limit }
      : { ...(page.last === undefined ? {} : { last: page.last }), limit };
    const held = await this.#o.listed.repositories(query);
    const names = held.map((one) => (found.isExplicit ? one.name : `${one.serves}/${one.name}`));
    const items = names.slice(0, limit - 1);
    const headers = linkHeader(exchange, names.length > items.length && items.length > 0, limit - 1, items.at(-1));
    sendJson(exchange, 200, { repositories: items }, headers);
  }
}

type InRepository = Extract<Endpoint, { kind: "manifest" | "blob" | "tags" | "referrers" }>;

/** Rejects what the rules forbid without a look at what is held. */
function assertByName({ access, identity }: Exchange, { registryId, name }: Repository, endpoint: InRepository): void {
  const asked = { registryId, repository: name };
  const tags = tagsByName(endpoint);
  if (tags === undefined && access.rules.askForTags(asked)) access.assertNotForbidden(identity, asked);
  else access.assertMay(identity, { ...asked, tags: tags ?? [] });
}

/** The tags by which is asked, as far as the request says; undefined for a digest, to which any may lead. */
function tagsByName(endpoint: InRepository): readonly string[] | undefined {
  if (digestOf(endpoint) !== undefined) return undefined;
  return endpoint.kind === "manifest" && endpoint.reference.kind === "tag" ? [endpoint.reference.tag] : [];
}

function digestOf(endpoint: InRepository) {
  switch (endpoint.kind) {
    case "tags":
      return undefined;
    case "manifest":
      return endpoint.reference.kind === "digest" ? endpoint.reference.digest : undefined;
    case "blob":
    case "referrers":
      return endpoint.digest;
  }
}

/** Repositories in one answer of `_catalog` where the client does not say. */
const CATALOG_PAGE = 1_000;

function assertReading({ req }: Exchange): void {
  if (req.method !== "GET" && req.method !== "HEAD") throw readOnly();
}

/** A secret that stands in the path twice would be a name, which upstream is asked for and which the log has. */
function assertSecretIsNoName({ secret, path }: Exchange): void {
  if (secret === undefined || secret === "" || !path.includes(secret)) return;
  throw new RegistryError(404, "NAME_UNKNOWN", "the secret of a secret path is in the name as well");
}

/** A secret path is for pulls: what there is to be pulled is not told by it. */
function assertForPath({ identity }: Exchange, { kind }: Endpoint): void {
  if (identity.principal.method !== "path" || (kind !== "catalog" && kind !== "tags")) return;
  throw new RegistryError(403, "DENIED", "a secret path is for pulling images, not for listing them");
}

function readOnly(): RegistryError {
  return new RegistryError(405, "UNSUPPORTED", "this is a pull-through cache: push to the registry itself", {
    headers: { Allow: "GET, HEAD", Connection: "close" },
  });
}

/** Ping and catalog are for a whole registry; a name that is none would be a repository without an endpoint. */
function assertWhole(found: FoundRegistry): void {
  if (found.name.length > 0) throw new RegistryError(404, "NAME_UNKNOWN", "no such endpoint of the registry API");
}

/** RFC 8288, to our own path, whatever shape the client used: its prefix and `ns` stay. */
function linkHeader(
  exchange: Exchange,
  more: boolean,
  n: number | undefined,
  last: string | undefined,
): Record<string, string> {
  if (!more || n === undefined || last === undefined) return {};
  const query = new URLSearchParams({ n: String(n), last });
  for (const ns of exchange.query.getAll("ns")) query.append("ns", ns);
  return { Link: `<${exchange.path}?${query.toString()}>; rel="next"` };
}
