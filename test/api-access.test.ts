import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Config } from "../src/config/config.ts";
import { type ApiSite, startApiSite } from "./support/api-site.ts";
import { OPEN_ACCESS } from "./support/cache.ts";
import { NO_FILES, selfSignedCertificate } from "./support/certificate.ts";
import { type Answer, ask } from "./support/client.ts";
import { basic } from "./support/whole.ts";

const API: Config["api"] = { hostnames: [], read: "pullers", metrics: "pullers", admins: ["op*"] };
const READ = "/api/v1/keep-fresh";
const FORGET = { references: ["app:1"] };

function problem(answer: Answer): { status: number; detail: string; title: string } {
  assert.equal(answer.headers["content-type"], "application/problem+json", answer.body.toString());
  return JSON.parse(answer.body.toString()) as ReturnType<typeof problem>;
}

async function statusOf(site: ApiSite, method: string, options: Parameters<ApiSite["ask"]>[2] = {}): Promise<number> {
  return (await site.ask(method, READ, method === "GET" ? options : { body: FORGET, ...options })).status;
}

suite("who may read", () => {
  test("pullers: whoever may pull from every registry, and nobody else", async (t) => {
    const site = await startApiSite(t);
    assert.equal(await statusOf(site, "GET", { user: "me" }), 200);
    const refused = await site.ask("GET", READ);
    assert.equal(refused.status, 401);
    assert.match(problem(refused).detail, /user and a password/);
    assert.match(String(refused.headers["www-authenticate"]), /^Basic /);
    const wrong = await site.ask("GET", READ, { headers: { Authorization: basic("me", "wrong") } });
    assert.match(problem(wrong).detail, /password is wrong/);
  });

  test("open: everybody", async (t) => {
    const site = await startApiSite(t, { config: { api: { ...API, read: "open" } } });
    assert.equal(await statusOf(site, "GET"), 200);
  });

  test("admins: they alone, and nobody where there are none", async (t) => {
    const site = await startApiSite(t, { config: { api: { ...API, read: "admins" } } });
    assert.deepEqual(
      [
        await statusOf(site, "GET", { user: "ops" }),
        await statusOf(site, "GET", { user: "me" }),
        await statusOf(site, "GET"),
      ],
      [200, 403, 401],
    );
    const open = { htpasswd: undefined, anonymous: true };
    const nobody = await startApiSite(t, { access: open, config: { api: { ...API, read: "admins", admins: [] } } });
    const refused = await nobody.ask("GET", READ);
    assert.equal(refused.status, 403);
    assert.match(problem(refused).detail, /api\.admins/);
  });

  test("by a secret path nobody does", async (t) => {
    const token = "abcdefghijklmnopqrstuvwxyz0123456789";
    const site = await startApiSite(t, { access: { paths: [{ name: "ops", token }] } });
    for (const method of ["GET", "DELETE"]) {
      const answer = await site.ask(method, `/t/${token}${READ}`, method === "GET" ? {} : { body: FORGET });
      assert.equal(answer.status, 403);
      assert.ok(!problem(answer).detail.includes(token));
    }
    const read = { ...API, read: "admins" } as const;
    const forAdmins = await startApiSite(t, { access: { paths: [{ name: "ops", token }] }, config: { api: read } });
    assert.equal((await forAdmins.ask("GET", `/t/${token}${READ}`)).status, 403);
  });
});

suite("who may act", () => {
  for (const workers of [1, 2]) {
    test(`users whose name api.admins matches, and nobody else; ${workers} workers`, async (t) => {
      const site = await startApiSite(t, { workers });
      assert.equal(await statusOf(site, "DELETE", { user: "ops" }), 200);
      assert.equal(await statusOf(site, "DELETE", { user: "me" }), 403);
      assert.equal(await statusOf(site, "DELETE"), 401);
      const wrong = { Authorization: basic("ops", "wrong") };
      assert.equal(await statusOf(site, "DELETE", { headers: wrong }), 401);
      // A body that nobody is asked for stays where it is, however long it is.
      const long = await site.ask("DELETE", READ, { body: JSON.stringify({ references: ["x".repeat(2_000_000)] }) });
      assert.equal(long.status, 401);
    });
  }

  test("not from elsewhere without TLS, whoever it is", async (t) => {
    const site = await startApiSite(t, { config: { api: API, trustedProxies: ["127.0.0.1"] } });
    const from = (more: object) => ({ user: "ops" as const, headers: { "X-Forwarded-For": "192.0.2.7", ...more } });
    const refused = await site.ask("DELETE", READ, { body: FORGET, ...from({}) });
    assert.equal(refused.status, 403);
    assert.match(problem(refused).detail, /TLS/);
    assert.equal(await statusOf(site, "DELETE", from({ "X-Forwarded-Proto": "https" })), 200);
    assert.equal(await statusOf(site, "GET", from({})), 200);
    // A proxy that nobody has named asks for somebody who may be anywhere.
    const unnamed = await startApiSite(t);
    assert.equal(await statusOf(unnamed, "DELETE", from({ "X-Forwarded-Proto": "https" })), 403);
  });

  test("whoever can open the local socket", async (t) => {
    const site = await startApiSite(t);
    assert.deepEqual(await site.askLocally("DELETE", READ, FORGET), {
      status: 200,
      headers: (await site.askLocally("DELETE", READ, FORGET)).headers,
      body: { removed: [] },
    });
  });

  test("attack: a page of another origin makes a browser that knows the password send it, in every way that it can", async (t) => {
    const site = await startApiSite(t);
    const own = new URL(site.url).host;
    const refused = async (headers: Record<string, string>, status: number) => {
      for (const method of ["POST", "DELETE"]) {
        const path = method === "POST" ? "/api/v1/warm" : READ;
        const answer = await site.ask(method, path, { user: "ops", body: { ...FORGET, platforms: "all" }, headers });
        assert.equal(answer.status, status, JSON.stringify(headers));
        assert.equal(answer.headers["access-control-allow-origin"], undefined);
        problem(answer);
      }
    };
    for (const origin of [
      "https://evil.example",
      "null",
      `http://${own}.evil.example`,
      "http://localhost:1",
      "not an origin",
    ]) {
      await refused({ Origin: origin }, 403);
    }
    for (const site_ of ["cross-site", "same-site", "anything"]) await refused({ "Sec-Fetch-Site": site_ }, 403);
    // What a form can send without asking first.
    for (const type of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "application/jsonx",
    ]) {
      await refused({ "Content-Type": type }, 415);
    }
    // Nobody is told that it may ask.
    const preflight = await site.ask("OPTIONS", READ, { headers: { Origin: "https://evil.example" } });
    assert.equal(preflight.status, 405);
    assert.equal(preflight.headers["access-control-allow-methods"], undefined);
    for (const headers of [
      { Origin: `http://${own}` },
      { "Sec-Fetch-Site": "same-origin" },
      { "Sec-Fetch-Site": "none" },
    ]) {
      assert.equal(await statusOf(site, "DELETE", { user: "ops", headers }), 200);
    }
  });
});

suite("what is told in the API's form", () => {
  for (const workers of [1, 2]) {
    test(`paths that are none, and methods that a path does not take; ${workers} workers`, async (t) => {
      const site = await startApiSite(t, { workers });
      for (const path of [
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v1/warm/x",
        "/api/v1/__proto__",
        "/api/v1/../v2/",
      ]) {
        for (const method of ["GET", "POST"]) {
          const answer = await site.ask(method, path, { user: "ops" });
          assert.equal(answer.status, 404, path);
          assert.match(problem(answer).detail, /openapi\.json/);
        }
      }
      const post = await site.ask("POST", READ, { user: "ops" });
      assert.deepEqual([post.status, post.headers.allow], [405, "GET, HEAD, DELETE"]);
      assert.match(problem(post).detail, /takes GET, HEAD, DELETE/);
      const get = await site.ask("GET", "/api/v1/warm", { user: "ops" });
      assert.deepEqual([get.status, get.headers.allow, problem(get).title], [405, "POST", "Method Not Allowed"]);
    });
  }

  test("networks that may not come in, and names that pages could have", async (t) => {
    const closed = await startApiSite(t, { access: { networks: ["192.0.2.0/24"] } });
    assert.match(problem(await closed.ask("GET", READ, { user: "ops" })).detail, /access\.networks/);
    const open = await startApiSite(t, { access: { anonymous: true }, config: { api: { ...API, read: "open" } } });
    const refused = await open.ask("GET", READ, { headers: { Host: "evil.example" } });
    assert.equal(refused.status, 403);
    assert.match(problem(refused).detail, /access\.hosts/);
  });

  test("the registry API's own form stays as it is", async (t) => {
    const site = await startApiSite(t);
    for (const path of ["/v2/", "/v2/library/app/manifests/1", "/", "/api/v2/x", "/api/v1x"]) {
      const answer = await site.ask("GET", path);
      assert.equal(answer.headers["content-type"], "application/json", path);
      assert.ok(Array.isArray((JSON.parse(answer.body.toString()) as { errors?: unknown }).errors), path);
    }
  });
});

suite("a host name for the API alone", () => {
  const SERVED = ["/", "/summary", "/healthz", "/readyz", READ];
  const NOT = ["/v2/", "/v2/library/app/manifests/1", "/v2/_catalog", "/docker.io/v2/", "/connect", "/token", "/else"];
  const api = { ...API, hostnames: ["api.cache.example"] };

  for (const workers of [1, 2]) {
    test(`has statistics, health and the API, and no images; ${workers} workers`, async (t) => {
      const access = { ...OPEN_ACCESS, anonymous: true, htpasswd: undefined };
      const site = await startApiSite(t, { workers, access, config: { api } });
      site.upstream.addImage("library/app", "1");
      for (const host of ["api.cache.example", "API.cache.example:5000", "api.cache.example."]) {
        for (const path of SERVED) {
          assert.equal((await site.ask("GET", path, { headers: { Host: host } })).status, 200, `${host} ${path}`);
        }
        for (const path of [...NOT, ...NOT]) {
          const answer = await site.ask("GET", path, { headers: { Host: host } });
          assert.equal(answer.status, 404, `${host} ${path}`);
          assert.match(answer.body.toString(), /images have another/);
        }
      }
      for (const path of ["/v2/", "/v2/library/app/manifests/1", "/v2/library/app/manifests/1"]) {
        assert.equal((await site.ask("GET", path, { headers: { Host: "cache.example" } })).status, 200, path);
      }
    });
  }

  test("by TLS as well", async (t) => {
    const tls = selfSignedCertificate(["api.cache.example"]);
    const site = await startApiSite(t, { config: { api, tls: { ...tls, files: NO_FILES } } });
    const headers = { Host: "api.cache.example", Authorization: basic("ops", "correct horse") };
    const statuses = await Promise.all(
      [READ, "/summary", "/v2/"].map(async (path) => (await ask(site.url + path, { headers, ca: tls.cert })).status),
    );
    assert.deepEqual(statuses, [200, 200, 404]);
  });
});
