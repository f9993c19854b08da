import { createRoute, z } from "@hono/zod-openapi";
import { DEFAULT_TAG, type ImageName, type NamedRegistry, noImageText, parseImageName } from "../../oci/image-name.ts";
import { repositoryPath } from "../../oci/reference.ts";
import type { PinnedImage } from "../../upkeep/pins/pins.ts";
import { badRequest, ProblemError } from "../../server/problem.ts";
import { IMAGE_SORTS, IMAGES_PER_PAGE_MAX, type ImagesView, type InventoryImage } from "../images/image.ts";
import { notHeldText } from "../held-tags.ts";
import { type ApiApp, bytesCount, digestText, iso, jsonOf, readRefusals, when } from "./common.ts";
import type { PinBook, PinMarks } from "./parts.ts";
import { linkTo, next, pageQuery } from "./paging.ts";

const GLOB_LENGTH_MAX = 512;
/** Images of a repository of which the tags are told where another one was meant. */
const TAGS_LOOKED_AT = 20;

const tag = z.object({
  tag: z.string().openapi({ example: "1.27" }),
  digest: digestText.openapi({ description: "Where it points: to the image, or to one of its platforms." }),
  firstSeenAt: when,
  confirmedAt: when.openapi({ description: "When upstream last said so." }),
  heldAt: digestText.optional().openapi({
    description: "Where a pin holds it, whatever upstream says: clients that ask for the tag get this one.",
  }),
  pulls: z.int(),
  lastPulledAt: when.optional(),
});

const platform = z.object({
  os: z.string().openapi({ example: "linux" }),
  architecture: z.string().openapi({ example: "arm64" }),
  variant: z.string().optional().openapi({ example: "v8" }),
  digest: digestText,
  isHeld: z.boolean(),
  size: bytesCount.openapi({ description: "Bytes of what is held of it." }),
});

const puller = z.object({
  name: z.string().openapi({ description: "A user's name, else an address." }),
  pulls: z.int(),
  lastPulledAt: when,
});

export const imageSchema = z
  .object({
    registry: z.string().openapi({ description: "By id.", example: "dockerhub" }),
    repository: z.string().openapi({ example: "docker.io/library/nginx" }),
    digest: digestText,
    tags: z.array(tag).openapi({ description: "That lead to it." }),
    kind: z.enum(["index", "image", "artifact"]),
    mediaType: z.string(),
    artifactType: z.string().optional(),
    platforms: z.array(platform),
    size: bytesCount.openapi({ description: "Distinct bytes of all that is held of it." }),
    own: bytesCount.openapi({ description: "Bytes that would come back if it were evicted: what no other image has." }),
    missing: z
      .object({
        contents: z.int(),
        of: z.int().openapi({ description: "So many are named in all." }),
        bytes: bytesCount,
      })
      .optional()
      .openapi({
        description:
          "Layers and other blobs that its held manifests name and that are not held. Left out where none is missing.",
      }),
    pinned: z.string().optional().openapi({
      description: "The pin that keeps it, as the list of pins has it.",
      example: "docker.io/library/nginx:1.27",
    }),
    heldSince: when,
    confirmedAt: when.optional(),
    lastPulledAt: when.optional(),
    pulls: z.int(),
    pullers: z.array(puller).optional().openapi({ description: "The latest first. Admins alone see them." }),
  })
  .openapi("Image", {
    description:
      "A manifest that a repository has and that no other held one of that repository names, with what is held below it.",
  });

export type ImageAnswer = z.infer<typeof imageSchema>;

const imagesSchema = z.object({ images: z.array(imageSchema), next });
export type ImagesAnswer = z.infer<typeof imagesSchema>;

const listQuery = z.strictObject({
  registry: z
    .string()
    .max(GLOB_LENGTH_MAX)
    .optional()
    .openapi({ description: "By id, or by the name that images carry.", example: "dockerhub" }),
  repository: z.string().max(GLOB_LENGTH_MAX).optional().openapi({
    description: "A glob over names, without the registry or with its name: `docker.io/library/*`.",
    example: "library/*",
  }),
  tag: z.string().max(GLOB_LENGTH_MAX).optional().openapi({ description: "A glob over tags.", example: "v*" }),
  text: z.string().max(GLOB_LENGTH_MAX).optional().openapi({
    description: "Within `docker.io/library/nginx:1.27`, or how the digest begins, or a glob over images.",
  }),
  notPulledSince: z.iso.datetime({ offset: true }).optional().openapi({
    description: "Nobody has pulled it since then; what was never pulled counts from when it came.",
  }),
  largerThan: z.coerce.number().int().min(0).optional().openapi({ type: "integer", description: "Bytes." }),
  sort: z.enum(IMAGE_SORTS).default("name").openapi({
    description: "`name` rises; the others fall: the largest, the latest, the most pulled first.",
  }),
  reverse: z.stringbool().default(false).openapi({ type: "boolean", description: "The other way round." }),
  ...pageQuery(IMAGES_PER_PAGE_MAX),
});

const PATH = "/api/v1/images";

const list = createRoute({
  method: "get",
  operationId: "listImages",
  path: PATH,
  summary: "Held images",
  tags: ["What is held"],
  request: { query: listQuery },
  responses: {
    200: {
      ...jsonOf(imagesSchema, "One page of them."),
      headers: z.object({
        Link: z.string().optional().openapi({ description: 'The next page: `<...>; rel="next"`.' }),
      }),
    },
    ...readRefusals(400),
  },
});

const single = createRoute({
  method: "get",
  operationId: "getImage",
  path: `${PATH}/{reference}`,
  summary: "One held image",
  description:
    "By tag or digest, as clients name it; the digest may be one of a platform. Slashes may be encoded or not.",
  tags: ["What is held"],
  request: {
    params: z.object({
      reference: z.string().openapi({ description: "The rest of the path.", example: "docker.io/library/nginx:1.27" }),
    }),
  },
  responses: { 200: jsonOf(imageSchema, "With all who have pulled it, for admins."), ...readRefusals(400, 404) },
});

export interface ImagesParts {
  readonly registries: readonly NamedRegistry[];
  /** What the caller may see. */
  readonly imagesFor: (caller: { readonly isAdmin: boolean }) => ImagesView;
  /** Writes down the pulls that were heard of until now. */
  readonly settlePulls: () => Promise<void>;
  readonly pins: Pick<PinBook, "marks">;
}

export function imagesResource(app: ApiApp, { registries, imagesFor, settlePulls, pins }: ImagesParts): void {
  app.openapi(list, async (c) => {
    const { registry, notPulledSince, sort, reverse: isReverse, limit, after, ...filter } = c.req.valid("query");
    const asked = {
      filter: {
        ...filter,
        registryId: registryIdOf(registry, registries),
        notPulledSinceMs: notPulledSince === undefined ? undefined : Date.parse(notPulledSince),
      },
      sort,
      isReverse,
      limit,
      after,
    };
    const { caller, signal } = c.env;
    await settlePulls();
    const page = await imagesFor(caller).images(asked, signal);
    const marks = await pins.marks();
    const body = {
      images: page.images.map((image) => toldImage(image, caller.isAdmin, marks)),
      ...(page.next === undefined ? {} : { next: page.next }),
    };
    return c.json(body, 200, linkTo(PATH, c.req.query(), page.next));
  });
  app.openapi(single, async (c) => {
    const { caller, signal } = c.env;
    const name = nameOf(c.req.valid("param").reference, registries);
    await settlePulls();
    const view = imagesFor(caller);
    const image = await view.image(repositoryPath(name.repository), referenceOf(name));
    if (image === undefined) {
      const others = name.digest === undefined ? await heldTags(view, name, signal) : [];
      throw new ProblemError(404, `${c.req.valid("param").reference} is ${notHeldText(others)}`);
    }
    return c.json(toldImage(image, caller.isAdmin, await pins.marks()), 200);
  });
}

/** Of a registry by its id, or by the name that images carry. Rejects with a `ProblemError` what is none. */
export function registryIdOf(
  named: string | undefined,
  registries: readonly Omit<NamedRegistry, "libraryPrefix">[],
  where: { readonly pointer: string } | { readonly parameter: string } = { parameter: "registry" },
): string | undefined {
  const found =
    registries.find(({ id }) => id === named) ??
    registries.find(({ serves, aliases }) => named !== undefined && [serves, ...aliases].includes(named));
  if (named === undefined || found !== undefined) return found?.id;
  const known = registries.map((one) => one.id).join(", ");
  throw badRequest(`registry: there is no ${JSON.stringify(named)} here; there are ${known}`, [
    { ...where, detail: `is none of ${known}` },
  ]);
}

/** As clients name images. Rejects with a `ProblemError` what is none. */
export function nameOf(text: string, registries: readonly NamedRegistry[]): ImageName {
  const name = parseImageName(text, registries);
  if (!("problem" in name)) return name;
  if (name.problem === "unknown") throw new ProblemError(404, `the registry ${name.host} is not configured here`);
  const detail = `${noImageText(text)}; such as nginx:1.27 or ghcr.io/org/app@sha256:...`;
  throw badRequest(detail, [{ parameter: "reference", detail }]);
}

function referenceOf({ tag: named, digest }: ImageName): string {
  return digest ?? named ?? DEFAULT_TAG;
}

async function heldTags(view: ImagesView, { repository }: ImageName, signal: AbortSignal): Promise<readonly string[]> {
  const filter = { registryId: repository.registryId, repository: repository.name };
  const { images } = await view.images({ filter, sort: "name", limit: TAGS_LOOKED_AT }, signal);
  return images.flatMap(({ tags }) => tags.map(({ tag: name }) => name));
}

function toldImage(image: InventoryImage, withPullers: boolean, marks: PinMarks): z.infer<typeof imageSchema> {
  const { registryId, serves, repository, kind, mediaType, artifactType, own, confirmedAtMs, lastPulledAtMs } = image;
  const path = `${serves}/${repository}`;
  const pinned = marks.pinOf(asPinned(path, image));
  return {
    registry: registryId,
    repository: path,
    digest: image.digest,
    tags: image.tags.map((one) => ({
      tag: one.tag,
      digest: one.digest,
      firstSeenAt: iso(one.firstSeenAtMs),
      confirmedAt: iso(one.confirmedAtMs),
      ...optional("heldAt", marks.heldAt(`${path}:${one.tag}`)),
      pulls: one.pulls,
      ...optionalTime("lastPulledAt", one.lastPulledAtMs),
    })),
    kind,
    mediaType,
    ...(artifactType === undefined ? {} : { artifactType }),
    platforms: image.platforms.map(({ variant, ...one }) => ({
      ...one,
      ...(variant === undefined ? {} : { variant }),
    })),
    size: image.size,
    own,
    ...(image.missing === undefined ? {} : { missing: image.missing }),
    ...optional("pinned", pinned),
    heldSince: iso(image.heldSinceMs),
    ...optionalTime("confirmedAt", confirmedAtMs),
    ...optionalTime("lastPulledAt", lastPulledAtMs),
    pulls: image.pulls,
    ...(withPullers
      ? {
          pullers: image.pullers.map((one) => ({
            name: one.name,
            pulls: one.pulls,
            lastPulledAt: iso(one.lastPulledAtMs),
          })),
        }
      : {}),
  };
}

/** With what would leave with it, as far as people may have pinned it. */
function asPinned(path: string, { digest, tags, platforms }: InventoryImage): PinnedImage {
  const below = platforms.filter(({ isHeld }) => isHeld).map((one) => one.digest);
  return { path, tags: tags.map((one) => one.tag), digests: [digest, ...below] };
}

function optional<Name extends string>(name: Name, text: string | undefined): { [Key in Name]?: string } {
  return (text === undefined ? {} : { [name]: text }) as { [Key in Name]?: string };
}

export function optionalTime<Name extends string>(name: Name, ms: number | undefined): { [Key in Name]?: string } {
  return (ms === undefined ? {} : { [name]: iso(ms) }) as { [Key in Name]?: string };
}
