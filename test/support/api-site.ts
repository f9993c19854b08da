import { writeFile } from "node:fs/promises";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { hashSync } from "bcryptjs";
import { CONTROL_SOCKET } from "../../src/admin/control.ts";
import type { AccessConfig, Config, RegistryConfig } from "../../src/config/config.ts";
import { OPEN_ACCESS, testRegistry } from "./cache.ts";
import { type Answer, ask, type Ask } from "./client.ts";
import { type FakeUpstream, startFakeUpstream } from "./fake-upstream.ts";
import { tempDir } from "./temp.ts";
import { basic, startWhole } from "./whole.ts";

const PASSWORDS = { ops: "correct horse", me: "battery staple" } as const;
export type User = keyof typeof PASSWORDS;

export interface ApiSite {
  readonly url: string;
  readonly dataDir: string;
  readonly upstream: FakeUpstream;
  /** By its public address; `user` is nobody where none is named. */
  ask(method: string, path: string, options?: ApiAsk): Promise<Answer>;
  /** By the local socket. */
  askLocally(method: string, path: string, body?: unknown): Promise<{ status: number; headers: object; body: unknown }>;
}

export interface ApiAsk {
  readonly user?: User | undefined;
  readonly headers?: Record<string, string>;
  /** Sent as JSON, or as it is where it is a text. */
  readonly body?: unknown;
}

export interface ApiSiteOptions {
  readonly access?: Partial<AccessConfig>;
  readonly config?: Partial<Config>;
  readonly registry?: Partial<RegistryConfig>;
  readonly workers?: number;
}

/** A cache with the users `ops`, who is an admin, and `me`, who may pull; nobody else may. */
export async function startApiSite(t: TestContext, options: ApiSiteOptions = {}): Promise<ApiSite> {
  const upstream = await startFakeUpstream();
  t.after(async () => await upstream.stop());
  const htpasswd = join(await tempDir(t), "users");
  const lines = Object.entries(PASSWORDS).map(([user, password]) => `${user}:${hashSync(password, 4)}\n`);
  await writeFile(htpasswd, lines.join(""));
  const access = { ...OPEN_ACCESS, anonymous: false, htpasswd, ...options.access };
  const api: Config["api"] = { hostnames: [], read: "pullers", metrics: "pullers", admins: ["op*"] };
  const { url, dataDir } = await startWhole(t, [testRegistry(upstream.url, options.registry)], {
    workers: options.workers ?? 1,
    access,
    config: { api, ...options.config },
  });
  return {
    url,
    dataDir,
    upstream,
    ask: async (method, path, { user, headers = {}, body } = {}) => {
      const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
      const all: Record<string, string> = {
        ...(user === undefined ? {} : { Authorization: basic(user, PASSWORDS[user]) }),
        ...(method === "GET" || method === "HEAD" ? {} : { "Content-Type": "application/json" }),
        ...(text === undefined ? {} : { "Content-Length": String(Buffer.byteLength(text)) }),
        ...headers,
      };
      const sent: Ask = { method, headers: all, ...(text === undefined ? {} : { body: text }) };
      return await ask(url + path, sent);
    },
    askLocally: async (method, path, body) => await askLocally(join(dataDir, CONTROL_SOCKET), method, path, body),
  };
}

async function askLocally(socketPath: string, method: string, path: string, body: unknown) {
  const sent = body === undefined ? "" : JSON.stringify(body);
  const asking = request({ socketPath, method, path, headers: { "Content-Length": Buffer.byteLength(sent) } });
  asking.end(sent);
  const [answer] = (await once(asking, "response")) as [IncomingMessage];
  let text = "";
  for await (const piece of answer) text += String(piece);
  return { status: answer.statusCode ?? 0, headers: answer.headers, body: JSON.parse(text) as unknown };
}
