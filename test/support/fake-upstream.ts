import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { type Answer, type FakeRequest, refusal } from "./fake-upstream/answer.ts";
import { Auth } from "./fake-upstream/auth.ts";
import { SignedUrls, xml } from "./fake-upstream/cdn.ts";
import { Content } from "./fake-upstream/content.ts";
import { type Rate, Script, rateOf } from "./fake-upstream/faults.ts";
import { Journal } from "./fake-upstream/journal.ts";
import { Listener } from "./fake-upstream/listener.ts";
import { Registry } from "./fake-upstream/registry.ts";
import { send } from "./fake-upstream/send.ts";
import type { FakeUpstream, FakeUpstreamOptions, RecordedRequest, Role } from "./fake-upstream/types.ts";

export type * from "./fake-upstream/types.ts";

/**
 * A scripted registry with a token service and a second host for redirected content, each on its own port of 127.0.0.1.
 * What is added is served at once; `script` makes it misbehave; everything received is in `requests`.
 */
export async function startFakeUpstream(options: FakeUpstreamOptions = {}): Promise<FakeUpstream> {
  const content = new Content();
  const journal = new Journal();
  const script = new Script();
  const listenerOf = (role: Role) =>
    new Listener(
      (req, res) => void exchange({ role, req, res, answer, journal, script, options }),
      () => journal.ring(),
      options.tls,
    );
  const listeners = { registry: listenerOf("registry"), cdn: listenerOf("cdn"), token: listenerOf("token") };
  const all = Object.values(listeners);
  await Promise.all(all.map((listener) => listener.start()));

  const origin = (role: Role) =>
    `${options.tls === undefined ? "http" : "https"}://${options.hosts?.[role] ?? "127.0.0.1"}:${listeners[role].port}`;
  const tokenUrl = origin(options.token?.host === "registry" ? "registry" : "token") + tokenPath(options);
  const auth = new Auth(options, content, tokenUrl);
  const signedUrls = new SignedUrls(options, content, origin("cdn"));
  const registry = new Registry({
    content,
    options,
    origin: origin("registry"),
    redirectTo: { origin: origin("cdn"), sign: (method, digest) => signedUrls.sign(method, digest) },
    refuse: (request, repository) => auth.refuse(request, repository),
  });
  const secondRegistry = new Registry({
    content,
    options,
    origin: origin("cdn"),
    redirectTo: undefined,
    refuse: (request, repository) => refuseOnCdn(auth, options, request, repository),
  });

  function answer(request: FakeRequest): Answer {
    if (request.role === "token") {
      return request.url.pathname === tokenPath(options) ? auth.token(request) : refusal(404, "UNKNOWN");
    }
    if (request.role === "registry") return registry.answer(request);
    return request.url.pathname.startsWith("/data/") ? signedUrls.answer(request) : secondRegistry.answer(request);
  }

  const stop = async () => void (await Promise.all(all.map((listener) => listener.stop())));
  return {
    url: origin("registry"),
    cdnUrl: origin("cdn"),
    tokenUrl,
    requests: journal.requests,
    count: (filter) => journal.count(filter),
    until: (predicate, timeoutMs) => journal.until(predicate, timeoutMs),
    connections: (role) => listeners[role].connections,
    addBlob: (repository, bytes, algorithm) => content.addBlob(repository, bytes, algorithm),
    addManifest: (repository, manifest, its) => content.addManifest(repository, manifest, its),
    addImage: (repository, tag, its) => content.addImage(repository, tag, its),
    addIndex: (repository, tag, platforms, its) => content.addIndex(repository, tag, platforms, its),
    setTag: (repository, tag, digest) => content.setTag(repository, tag, digest),
    deleteTag: (repository, tag) => content.deleteTag(repository, tag),
    deleteContent: (repository, digest) => content.deleteContent(repository, digest),
    script: (match, ...faults) => script.add(match, faults),
    expireTokens: () => auth.expireTokens(),
    expireSignedUrls: () => signedUrls.expire(),
    stop,
    restart: async () => void (await Promise.all(all.map((listener) => listener.start()))),
    [Symbol.asyncDispose]: stop,
  };
}

function tokenPath(options: FakeUpstreamOptions): string {
  return options.token?.path ?? "/token";
}

/** A host that asks for no token takes none either, so that a leaked Authorization shows. */
function refuseOnCdn(auth: Auth, options: FakeUpstreamOptions, request: FakeRequest, repository: string | undefined) {
  if (options.cdnAuth === "bearer") return auth.refuse(request, repository);
  return request.headers.authorization === undefined ? undefined : xml(400, "InvalidArgument");
}

interface ExchangeParts {
  readonly role: Role;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly answer: (request: FakeRequest) => Answer;
  readonly journal: Journal;
  readonly script: Script;
  readonly options: FakeUpstreamOptions;
}

/** One request from arrival to end: record, decide, spoil, send. */
async function exchange({ role, req, res, answer, journal, script, options }: ExchangeParts): Promise<void> {
  const request = readRequest(role, req, options);
  const record = journal.begin(request);
  const gone = new AbortController();
  res.once("close", () => {
    end(record, res);
    gone.abort();
    journal.ring();
  });
  try {
    if (options.latencyMs !== undefined) await delay(options.latencyMs, undefined, { signal: gone.signal });
    const plan = script.plan(request, answer(request), blobRate(request, options));
    const onHead = (status: number) => {
      record.status = status;
      journal.ring();
    };
    const onBytes = (count: number) => {
      record.bytesSent += count;
      journal.ring();
    };
    await send({ req, res, signal: gone.signal, onHead, onBytes }, plan);
  } catch (error) {
    if (!gone.signal.aborted) fail(res, error);
  }
}

function readRequest(role: Role, req: IncomingMessage, options: FakeUpstreamOptions): FakeRequest {
  const path = req.url ?? "/";
  const url = new URL(path, "http://fake.invalid");
  const isRealm = options.token?.host === "registry" && role === "registry" && url.pathname === tokenPath(options);
  return { role: isRealm ? "token" : role, method: req.method ?? "GET", path, url, headers: req.headers };
}

function end(record: RecordedRequest, res: ServerResponse): void {
  record.closed = true;
  // A scripted handler answers past our own sender.
  if (record.status === 0 && res.headersSent) record.status = res.statusCode;
}

function blobRate(request: FakeRequest, { bytesPerSecond }: FakeUpstreamOptions): Rate | undefined {
  const isBlob = request.path.includes("/blobs/") || request.path.startsWith("/data/");
  return bytesPerSecond === undefined || !isBlob ? undefined : rateOf(bytesPerSecond);
}

/** A mistake in a test's own handler: loud, and the client is not left waiting. */
function fail(res: ServerResponse, error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
  if (res.headersSent) res.destroy();
  else res.writeHead(500).end(String(error));
}
