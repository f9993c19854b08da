import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, type Server, type Socket, createServer } from "node:net";
import { after, before, test } from "node:test";
import * as fc from "fast-check";
import { sha256 } from "../../test/support/bytes.ts";
import { Life } from "../../test/support/life.ts";
import { nearly, prove } from "../../test/support/property.ts";
import { name, openUpstream, patient, registryConfig, tag } from "../../test/support/upstreams.ts";
import { type Upstream, UpstreamError } from "./upstream.ts";

const BODY = '{"schemaVersion":2,"manifests":[]}';
const DIGEST = sha256(Buffer.from(BODY));
const TIMEOUTS = { connectMs: 500, headersMs: 500, idleMs: 500, askBudgetMs: 500 };
/** Two tries of each of some questions, all too late; only a hang is longer. */
const ANSWERED_MAX_MS = 20_000;

/** What registries answer. `REALM` stands for the upstream's own origin. */
const ANSWERS = [
  `HTTP/1.1 200 OK\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\nDocker-Content-Digest: ${DIGEST}\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`,
  `HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-${BODY.length - 1}/${BODY.length}\r\nContent-Length: ${BODY.length - 5}\r\n\r\n${BODY.slice(5)}`,
  `HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm="REALM/token",service="a",scope="repository:app:pull"\r\nContent-Length: 0\r\n\r\n`,
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 35\r\n\r\n{"token":"abc","expires_in":300    }`,
  `HTTP/1.1 307 Temporary Redirect\r\nLocation: REALM/v2/app/blobs/${DIGEST}?x=y\r\nContent-Length: 0\r\n\r\n`,
  `HTTP/1.1 200 OK\r\nLink: </v2/app/tags/list?last=a&n=1>; rel="next"\r\nContent-Type: application/json\r\nContent-Length: 27\r\n\r\n{"name":"app","tags":["a"]}`,
  `HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: application/json\r\nContent-Length: 43\r\n\r\n{"errors":[{"code":"TOOMANYREQUESTS"}]}    `,
  `HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n`,
];

/** Answers each request with the next of its texts, the last one again and again. */
class Hostile {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #texts: readonly string[] = [];

  constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined).once("close", () => this.#sockets.delete(socket));
      socket.on("data", () => {
        const [text = "", ...rest] = this.#texts;
        if (rest.length > 0) this.#texts = rest;
        socket.write(Buffer.from(text.replaceAll("REALM", this.url), "latin1"));
      });
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async start(): Promise<void> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
  }

  answer(texts: readonly string[]): void {
    this.#texts = texts;
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

const hostile = new Hostile();
before(async () => await hostile.start());
after(async () => await hostile.stop());

/** A question each, as the pull room asks them. */
const QUESTIONS: readonly ((upstream: Upstream) => Promise<unknown>)[] = [
  async (upstream) => await upstream.headManifest(name("app"), tag("1"), patient()),
  async (upstream) => await upstream.getManifest(name("app"), tag("1"), patient()),
  async (upstream) => await upstream.listTags(name("app"), patient()),
  async (upstream) => await upstream.probeBlob(name("app"), DIGEST, patient()),
  async (upstream) => {
    const { body } = await upstream.openBlob(name("app"), DIGEST, { start: 5 }, patient());
    return await body.toArray();
  },
];

test("whatever an upstream answers: a result or an UpstreamError, and never a hang", async () => {
  const texts = fc.array(nearly(ANSWERS), { minLength: 1, maxLength: 4 });
  await prove(
    fc.asyncProperty(texts, fc.constantFrom(...QUESTIONS), async (answers, ask) => {
      hostile.answer(answers);
      const life = new Life();
      const upstream = openUpstream(
        life,
        registryConfig({ upstream: hostile.url, realms: ["127.0.0.1"], timeouts: TIMEOUTS }),
      );
      const late = AbortSignal.timeout(ANSWERED_MAX_MS);
      const outcome = ask(upstream).catch((error: unknown) => error);
      const hang = once(late, "abort").then(() => "hang");
      const result = await Promise.race([outcome, hang]);
      await life.end();
      assert.notEqual(result, "hang");
      if (result instanceof Error) assert.ok(result instanceof UpstreamError, result.stack);
    }),
    60,
  );
});
