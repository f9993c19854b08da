import { z } from "zod";
import { compileImageGlob, compileNameGlob, compileRepositoryGlob, compileTagGlob } from "../lib/glob.ts";
import { ValueError } from "../lib/value-error.ts";
import type { Listen, ListenAddress } from "./config.ts";
import { EVENT_NAMES } from "./event-names.ts";
import * as governing from "./governing.ts";
import * as values from "./values.ts";
import { readWorkers } from "./workers.ts";

/** The shape of the file: what may stand where. What entries mean together is checked in `checks.ts`. */

export const LOG_FORMATS = ["json", "pretty", "auto"] as const;
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

const LIST_LENGTH_MAX = 1000;
const TLS_MODES = ["off", "files", "acme"] as const;
const ACME_CHALLENGES = ["http-01", "tls-alpn-01"] as const;
const PRIVATE_CONTENT = ["public_only", "shared", "pass_through"] as const;
export const ACCESS_METHODS = ["anonymous", "networks", "basic", "bearer", "mtls", "paths"] as const;
const WHEN_DELETED = ["serve", "deny"] as const;
export const API_READERS = ["pullers", "open", "admins"] as const;
const CONCURRENCY_MAX = 1000;

/** A value with its own reader. What the reader says goes into the issue, its hint into the issue's parameters. */
function value<T>(read: (input: unknown) => T) {
  return required(read).optional();
}

function required<T>(read: (input: unknown) => T) {
  return z.unknown().transform((input, context): T => {
    try {
      return read(input);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      context.addIssue({ code: "custom", message: error.message, params: { hint: error.hint } });
      return z.NEVER;
    }
  });
}

/** A key without anything below it, as it is left when all lines below are commented out, is an empty mapping or list. */
function orEmpty<T extends z.ZodType>(empty: () => unknown, schema: T) {
  return z.preprocess((input) => (input === null ? empty() : input), schema).optional();
}

function mapping<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape);
}

function list<T extends z.ZodType>(item: T, example: string) {
  const error = `must be a list such as ${example}`;
  const tooLong = `must not have more than ${LIST_LENGTH_MAX} entries`;
  return orEmpty(() => [], z.array(item, { error }).max(LIST_LENGTH_MAX, { error: tooLong }));
}

const tagRule = mapping({
  match: required((input) => {
    const pattern = values.readText(input, '"v[0-9]*"');
    compileTagGlob(pattern);
    return pattern;
  }),
  revalidate_after: required(values.readRevalidate),
});

const registryObject = mapping({
  enabled: value(values.readBoolean),
  anonymous: value(values.readBoolean),
  serves: value(values.readServes),
  upstream: value(values.readUpstream),
  hostnames: list(required(values.readHostname), "[hub.registry.example.com]"),
  username: value(values.readUsername),
  password: value((input) => values.readSecretText(input, "a text in quotes")),
  token: value(values.readToken),
  private_content: value((input) => values.readOneOf(input, PRIVATE_CONTENT)),
  shared: list(
    required((input) => readGlob(input, '"org/**"', compileRepositoryGlob)),
    '["org/**"]',
  ),
  tags: list(tagRule, '[{ match: "*", revalidate_after: 60s }]'),
  when_deleted: value((input) => values.readOneOf(input, WHEN_DELETED)),
  realms: list(required(values.readRealm), "[auth.example.com]"),
  ca: value((input) => values.readPath(input, "./ca.pem")),
  allow_private_addresses: value(values.readBoolean),
  questions_max: value((input) => values.readInteger(input, 1, CONCURRENCY_MAX)),
  transfers_max: value((input) => values.readInteger(input, 1, CONCURRENCY_MAX)),
  requests_per_second: value(values.readRate),
  max_bandwidth: value(governing.readBandwidth),
  max_size: value(governing.readBudget),
  quota_reserve: value(governing.readShare),
  connect_timeout: value((input) => values.readTimeout(input)),
  headers_timeout: value((input) => values.readTimeout(input)),
  idle_timeout: value((input) => values.readTimeout(input)),
  ask_budget: value((input) => values.readTimeout(input)),
});

export const registrySchema = z.preprocess((input) => (input === null ? {} : input), registryObject);

const tlsObject = mapping({
  mode: value((input) => values.readOneOf(input, TLS_MODES)),
  cert: value((input) => values.readPath(input, "./tls-cert.pem")),
  key: value((input) => values.readPath(input, "./tls-key.pem")),
  ca: value((input) => values.readPath(input, "./ca.pem")),
  directory: value(values.readDirectory),
  staging: value(values.readBoolean),
  directory_ca: value((input) => values.readPath(input, "./step-ca-root.pem")),
  email: value((input) => values.readText(input, "ops@example.com")),
  names: list(required(values.readHostname), "[cache.example.com]"),
  one_each: value(values.readBoolean),
  challenge: value((input) => values.readOneOf(input, ACME_CHALLENGES)),
  http_listen: value(values.readListen),
});

const secretPath = mapping({
  name: required(values.readPrincipalName),
  token: value(values.readPathToken),
  token_file: value((input) => values.readPath(input, "./path-token")),
});

const accessRule = mapping({
  who: value((input) => readGlob(input, '"ci-*"', compileNameGlob)),
  registry: value((input) => values.readText(input, "dockerhub")),
  repository: value((input) => readGlob(input, '"library/*"', compileRepositoryGlob)),
  tag: value((input) => readGlob(input, '"v[0-9]*"', compileTagGlob)),
  allow: required(values.readBoolean),
  min_age: value(values.readDuration),
});

function readGlob(input: unknown, example: string, compile: (pattern: string) => unknown): string {
  const pattern = values.readText(input, example);
  compile(pattern);
  return pattern;
}

const basicObject = mapping({ htpasswd: required((input) => values.readPath(input, "./users.htpasswd")) });

const mtlsObject = mapping({
  ca: required((input) => values.readPath(input, "./clients-ca.pem")),
  crl: value((input) => values.readPath(input, "./clients-crl.pem")),
  names: list(
    required((input) => readGlob(input, '"*.ci.example.com"', compileNameGlob)),
    '["*.ci.example.com"]',
  ),
});

const accessObject = mapping({
  anonymous: value(values.readBoolean),
  networks: list(required(values.readNetwork), "[10.0.0.0/8, fd00::/8]"),
  basic: basicObject.optional(),
  bearer: value(values.readBoolean),
  mtls: mtlsObject.optional(),
  hosts: list(required(values.readHostname), "[cache.example.com]"),
  paths: list(secretPath, "[{ name: lab, token_file: ./path-token }]"),
  rules: list(accessRule, '[{ who: "ci-*", repository: "library/*", allow: true }]'),
});

const listenObject = mapping({
  address: required(values.readListen),
  access: list(
    required((input) => values.readOneOf(input, ACCESS_METHODS)),
    "[networks, mtls]",
  ),
  tls: value(values.readBoolean),
});

const listenAddress = required(values.readListen);

/** An address alone, or with what is different there. */
const listenEntry = z.unknown().transform((input, context): Listen => {
  const isMapping = typeof input === "object" && input !== null && !Array.isArray(input);
  const read = isMapping ? listenObject.safeParse(input) : listenAddress.safeParse(input);
  if (!read.success) {
    context.issues.push(...(read.error.issues as z.core.$ZodRawIssue[]));
    return z.NEVER;
  }
  const { data } = read;
  return "host" in data ? atAddress(data) : atAddress(data.address, data.access, data.tls);
});

function atAddress(address: ListenAddress, methods?: Listen["methods"], tls = true): Listen {
  return { ...address, methods, tls };
}

const apiObject = mapping({
  hostnames: list(required(values.readHostname), "[api.registry.example.com]"),
  read: value((input) => values.readOneOf(input, API_READERS)),
  metrics: value((input) => values.readOneOf(input, API_READERS)),
  admins: list(
    required((input) => readGlob(input, '"ops-*"', compileNameGlob)),
    "[alice, bob]",
  ),
});

const webhookObject = mapping({
  url: required(governing.readWebhookUrl),
  events: list(
    required((input) => values.readOneOf(input, EVENT_NAMES)),
    "[tag.moved, upstream.down]",
  ),
  secret: value((input) => values.readSecretText(input, "what `openssl rand -hex 24` prints")),
  secret_file: value((input) => values.readPath(input, "./webhook-secret")),
});

const topObject = mapping({
  listen: z
    .preprocess(
      (input) => (Array.isArray(input) ? input : [input]),
      z.array(listenEntry).min(1, { error: "must not be empty" }).max(LIST_LENGTH_MAX),
    )
    .optional(),
  url: value(values.readUrl),
  tls: orEmpty(() => ({}), tlsObject),
  access: orEmpty(() => ({}), accessObject),
  trusted_proxies: list(required(values.readNetwork), "[127.0.0.1, 10.0.0.0/8]"),
  data_dir: value((input) => values.readPath(input, "./data")),
  min_free_disk: value(values.readSize),
  max_size: value(governing.readBudget),
  max_age: value(governing.readAge),
  pins: list(
    required((input) => readGlob(input, '"docker.io/library/*"', compileImageGlob)),
    '["docker.io/library/*", "ghcr.io/org/**:v*"]',
  ),
  api: orEmpty(() => ({}), apiObject),
  webhooks: list(webhookObject, "[{ url: https://hooks.example.com/cache }]"),
  default_registry: value((input) => values.readText(input, "dockerhub")),
  fills_max: value((input) => values.readInteger(input, 1, CONCURRENCY_MAX)),
  keep_fresh_every: value(values.readInterval),
  workers: value(readWorkers),
  stop_timeout: value((input) => values.readTimeout(input, 0)),
  log: orEmpty(
    () => ({}),
    mapping({
      format: value((input) => values.readOneOf(input, LOG_FORMATS)),
      level: value((input) => values.readOneOf(input, LOG_LEVELS)),
    }),
  ),
  // Each entry is read by `registrySchema` on its own, so that one faulty registry does not hide what is wrong elsewhere.
  registries: orEmpty(() => ({}), z.record(z.string(), z.unknown())),
});

export const topSchema = z.preprocess((input) => (input === null || input === undefined ? {} : input), topObject);

export type RegistryInput = z.output<typeof registryObject>;
export type TlsInput = z.output<typeof tlsObject>;
export type AccessInput = z.output<typeof accessObject>;
export type ApiInput = z.output<typeof apiObject>;
export type WebhookInput = z.output<typeof webhookObject>;
export type TopInput = z.output<typeof topObject>;

/** The keys that may stand in the mapping at `path`, for hints. */
export function knownKeys(path: readonly PropertyKey[]): readonly string[] {
  if (path[0] === "log") return ["format", "level"];
  if (path[0] === "tls") return Object.keys(tlsObject.shape);
  if (path[0] === "access") return accessKeys(path[1]);
  if (path[0] === "listen" && path.length > 0) return LISTEN_KEYS;
  if (path[0] === "api") return Object.keys(apiObject.shape);
  if (path[0] === "webhooks") return Object.keys(webhookObject.shape);
  if (path[0] !== "registries") return Object.keys(topObject.shape);
  return Object.keys(path.length > 2 ? tagRule.shape : registryObject.shape);
}

const LISTEN_KEYS = ["address", "access", "tls"];

function accessKeys(key: PropertyKey | undefined): readonly string[] {
  switch (key) {
    case "basic":
      return Object.keys(basicObject.shape);
    case "mtls":
      return Object.keys(mtlsObject.shape);
    case "paths":
      return Object.keys(secretPath.shape);
    case "rules":
      return Object.keys(accessRule.shape);
    default:
      return Object.keys(accessObject.shape);
  }
}
