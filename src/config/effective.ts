import { isIPv6 } from "node:net";
import { stringify } from "yaml";
import { formatDuration, formatSize } from "../lib/units.ts";
import { BUILT_IN_REGISTRIES } from "./built-in.ts";
import { pemCertificates, readCertificate, subjectText } from "./certificates.ts";
import type {
  AccessConfig,
  AcmeConfig,
  ClientCertificates,
  Config,
  Listen,
  ListenAddress,
  RegistryConfig,
  Revalidate,
  Webhook,
} from "./config.ts";
import { MASK, maskCredentials } from "./mask.ts";
import { proxyText } from "./proxy.ts";
import { day } from "./tls.ts";

/** The configuration that is in force, in the keys of the file, secrets masked. */
export function effectiveObject(config: Config): Record<string, unknown> {
  const enabled = new Set(config.registries.map(({ id }) => id));
  const disabled = BUILT_IN_REGISTRIES.filter(({ id }) => !enabled.has(id));
  return {
    ...(config.url === undefined ? {} : { url: config.url }),
    listen: config.listen.map(listenObject),
    tls: tlsObject(config),
    access: accessObject(config.access),
    trusted_proxies: config.trustedProxies,
    data_dir: config.dataDir,
    min_free_disk: formatSize(config.minFreeDiskBytes),
    ...(config.maxSizeBytes === undefined ? {} : { max_size: formatSize(config.maxSizeBytes) }),
    ...(config.maxAgeMs === undefined ? {} : { max_age: formatDuration(config.maxAgeMs) }),
    pins: config.pins,
    api: { ...config.api },
    webhooks: config.webhooks.map(webhookObject),
    default_registry: config.defaultRegistry,
    fills_max: config.fillsMax,
    keep_fresh_every: formatDuration(config.keepFreshEveryMs),
    workers: config.workers,
    stop_timeout: formatDuration(config.stopTimeoutMs),
    log: { format: config.log.format, level: config.log.level },
    registries: Object.fromEntries([
      ...config.registries.map((registry) => [registry.id, registryObject(registry)] as const),
      ...disabled.map(({ id }) => [id, { enabled: false }] as const),
    ]),
  };
}

/** The same as YAML, with a line that says where it comes from. */
export function effectiveYaml(config: Config): string {
  const source = config.source === undefined ? "built-in defaults, no configuration file" : config.source;
  const proxy = proxyText(config.proxy);
  const through = proxy === undefined ? "" : `# upstreams are reached through ${proxy}\n`;
  return `# ${JSON.stringify(source).slice(1, -1)}\n${through}${stringify(effectiveObject(config), { lineWidth: 0 })}`;
}

function registryObject(registry: RegistryConfig): Record<string, unknown> {
  const { timeouts, ca, requestsPerSecond } = registry;
  return {
    serves: registry.serves,
    upstream: registry.upstream,
    hostnames: registry.hostnames,
    ...(registry.anonymous === undefined ? {} : { anonymous: registry.anonymous }),
    ...maskCredentials(registry.credentials),
    ...privateObject(registry),
    tags: registry.tags.map(({ match, revalidate }) => ({ match, revalidate_after: revalidateText(revalidate) })),
    when_deleted: registry.whenDeleted,
    realms: registry.realms,
    ...(ca === undefined ? {} : { ca: authoritiesText(ca) }),
    allow_private_addresses: registry.allowPrivateAddresses,
    questions_max: registry.questionsMax,
    transfers_max: registry.transfersMax,
    ...(requestsPerSecond === undefined ? {} : { requests_per_second: requestsPerSecond }),
    ...(registry.bytesPerSecond === undefined ? {} : { max_bandwidth: formatSize(registry.bytesPerSecond) }),
    ...(registry.maxSizeBytes === undefined ? {} : { max_size: formatSize(registry.maxSizeBytes) }),
    quota_reserve: `${Math.round(registry.quotaReserveShare * 100)}%`,
    connect_timeout: formatDuration(timeouts.connectMs),
    headers_timeout: formatDuration(timeouts.headersMs),
    idle_timeout: formatDuration(timeouts.idleMs),
    ask_budget: formatDuration(timeouts.askBudgetMs),
  };
}

function privateObject({ sharedRepositories: shared, passThrough }: RegistryConfig): Record<string, unknown> {
  if (passThrough) return { private_content: "pass_through" };
  return shared.length === 0 ? { private_content: "public_only" } : { private_content: "shared", shared };
}

/** The receivers of many services have their secret in the path. */
function webhookObject({ url, events, secret }: Webhook): Record<string, unknown> {
  const { origin } = new URL(url);
  return { url: `${origin}/${MASK}`, events, ...(secret === undefined ? {} : { secret: MASK }) };
}

function listenObject({ methods, tls, ...address }: Listen): unknown {
  if (methods === undefined && tls) return listenText(address);
  return {
    address: listenText(address),
    ...(methods === undefined ? {} : { access: methods }),
    ...(tls ? {} : { tls }),
  };
}

function listenText({ host, port }: ListenAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

function revalidateText(revalidate: Revalidate): string {
  return revalidate.kind === "after" ? formatDuration(revalidate.ms) : revalidate.kind;
}

function acmeObject(acme: AcmeConfig): Record<string, unknown> {
  const { directory, directoryCa, email, names, oneEach, challenge } = acme;
  return {
    mode: "acme",
    directory,
    ...(directoryCa === undefined ? {} : { directory_ca: authoritiesText(directoryCa) }),
    ...(email === undefined ? {} : { email }),
    names,
    one_each: oneEach,
    challenge: challenge.kind,
    ...(challenge.kind === "http-01" ? { http_listen: listenText(challenge.listen) } : {}),
  };
}

/** As with authorities, what is in the files says more than their names. */
function tlsObject(config: Config): Record<string, unknown> {
  const { tlsCa } = config;
  return { ...certificateObject(config), ...(tlsCa === undefined ? {} : { ca: authoritiesText(tlsCa) }) };
}

function certificateObject({ tls, acme }: Config): Record<string, unknown> {
  if (acme !== undefined) return acmeObject(acme);
  if (tls === undefined) return { mode: "off" };
  const [own] = pemCertificates(tls.cert).map(readCertificate);
  const cert = own === undefined ? "unreadable" : `certificate of ${subjectText(own)} until ${day(own.validToDate)}`;
  return { mode: "files", cert, key: MASK };
}

function accessObject({
  anonymous,
  networks,
  hosts,
  htpasswd,
  bearer,
  mtls,
  paths,
  rules,
}: AccessConfig): Record<string, unknown> {
  return {
    anonymous,
    // An empty list is an error, since it would keep nobody out.
    ...(networks.length === 0 ? {} : { networks }),
    ...(hosts.length === 0 ? {} : { hosts }),
    ...(htpasswd === undefined ? {} : { basic: { htpasswd } }),
    bearer,
    ...(mtls === undefined ? {} : { mtls: mtlsObject(mtls) }),
    paths: paths.map(({ name }) => ({ name, token: MASK })),
    rules: rules.map(({ registry, minAgeMs, ...rule }) => ({
      ...rule,
      ...(registry === undefined ? {} : { registry }),
      ...(minAgeMs === 0 ? {} : { min_age: formatDuration(minAgeMs) }),
    })),
  };
}

function mtlsObject({ ca, crl, names }: ClientCertificates): Record<string, unknown> {
  return { ca: authoritiesText(ca), ...(crl === undefined ? {} : { crl: "revocation lists" }), names };
}

/** The file's name is not kept; whom it makes us trust says more. */
function authoritiesText(pem: string): string {
  const subjects = pemCertificates(pem).map((one) => {
    const certificate = readCertificate(one);
    return certificate === undefined ? "unreadable" : subjectText(certificate);
  });
  return `certificates of ${subjects.join("; ")}`;
}
