import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { prove } from "../../test/support/property.ts";
import { ValueError } from "../lib/value-error.ts";
import * as values from "./values.ts";

function refused(read: (input: unknown) => unknown, inputs: readonly unknown[]): void {
  for (const input of inputs) assert.throws(() => read(input), ValueError, JSON.stringify(input));
}

function hintOf(read: () => unknown): string | undefined {
  try {
    read();
  } catch (error) {
    if (error instanceof ValueError) return error.hint;
    throw error;
  }
  assert.fail("the value was accepted");
}

describe("addresses to listen on", () => {
  it("are a host and a port", () => {
    assert.deepEqual(values.readListen("127.0.0.1:5000"), { host: "127.0.0.1", port: 5000 });
    assert.deepEqual(values.readListen("[::]:443"), { host: "::", port: 443 });
    assert.deepEqual(values.readListen("Cache.Example:0"), { host: "cache.example", port: 0 });
  });

  it("must say who may connect", () => {
    for (const input of [5000, "5000", ":5000", "*:5000"]) {
      assert.equal(
        hintOf(() => values.readListen(input)),
        "write 127.0.0.1:5000 for this machine alone, or 0.0.0.0:5000 for the whole network",
      );
    }
  });

  it("of other shapes are refused", () => {
    refused(values.readListen, [
      "",
      "127.0.0.1",
      "::1:5000",
      "[::1]",
      "[localhost]:5000",
      "127.0.0.1:65536",
      "127.0.0.1:-1",
      "10.0.0.256:80",
      "cache.5:80",
      "cache.0x5:80",
      "http://127.0.0.1:5000",
      "a b:80",
      "127.0.0.1:5000/",
      null,
      ["127.0.0.1:5000"],
    ]);
  });

  it("read any IPv6 address in brackets as itself", () => {
    prove(
      fc.property(fc.ipV6(), fc.integer({ min: 0, max: 65_535 }), (host, port) => {
        fc.pre(isIPv6(host));
        assert.deepEqual(values.readListen(`[${host}]:${port}`), { host, port });
      }),
    );
  });
});

describe("the name that images carry", () => {
  it("has a dot or a port, or is localhost", () => {
    for (const name of ["docker.io", "localhost", "localhost:5001", "registry:5000", "10.0.0.1", "10.0.0.1:5000"]) {
      assert.equal(values.readServes(name), name);
    }
  });

  it("of other shapes is refused", () => {
    refused(values.readServes, [
      "docker",
      "Docker.io",
      "docker.io/library",
      "https://docker.io",
      "docker.io:",
      "docker.io:0",
      "docker.io:x",
      "docker.io:5000:5000",
      "..",
      "a..b",
      "-a.b",
      "a_b.c",
      "[::1]:5000",
      `${"a".repeat(64)}.example`,
      `${"a.".repeat(127)}a`.repeat(2),
    ]);
  });

  it("is one name for a folder, whatever is accepted", () => {
    const near = fc.stringMatching(/^[a-zA-Z.:/\\0-9-]{0,12}$/);
    prove(
      fc.property(fc.oneof(fc.string(), near, fc.domain()), (text) => {
        let name: string;
        try {
          name = values.readServes(text);
        } catch (error) {
          assert.ok(error instanceof ValueError);
          return;
        }
        assert.match(name, /^[a-z0-9][a-z0-9.-]*(?::\d+)?$/);
        assert.ok(!name.includes(".."));
      }),
    );
  });
});

describe("upstreams", () => {
  it("are origins", () => {
    assert.equal(values.readUpstream("https://registry.example"), "https://registry.example");
    assert.equal(values.readUpstream("HTTPS://Registry.Example:443/"), "https://registry.example");
    assert.equal(values.readUpstream("http://[::1]:5001"), "http://[::1]:5001");
  });

  it("with anything more are refused", () => {
    refused(values.readUpstream, [
      "registry.example",
      "ftp://registry.example",
      "https:registry.example",
      "https://",
      "https://registry.example/v2",
      "https://registry.example?",
      "https://registry.example#",
      "https://me@registry.example",
      "https://@registry.example",
      "https://me:secret@registry.example",
      5001,
    ]);
  });

  it("with a path say what is left without it", () => {
    assert.equal(
      hintOf(() => values.readUpstream("https://registry.example:8443/v2/?x")),
      "write https://registry.example:8443",
    );
  });
});

it("host names are compared without case and have no port", () => {
  assert.equal(values.readHostname("Cache.Example"), "cache.example");
  assert.equal(values.readHostname("10.0.0.1"), "10.0.0.1");
  refused(values.readHostname, ["cache.example:5000", "*.example", "https://cache.example", "a/b", ""]);
});

it("realms are hosts or all hosts below one", () => {
  for (const realm of ["auth.example", "*.pkg.dev", "auth.example:8443", "*.example:8443"]) {
    assert.equal(values.readRealm(realm), realm);
  }
  refused(values.readRealm, ["*", "*.", "a.*.b", "**.example", "https://auth.example", "auth.example/token", "a:0"]);
});

it("tag rules ask after a while, always, never or not at all", () => {
  assert.deepEqual(values.readRevalidate("90s"), { kind: "after", ms: 90_000 });
  assert.deepEqual(values.readRevalidate("0s"), { kind: "after", ms: 0 });
  for (const kind of ["always", "never", "offline"]) assert.deepEqual(values.readRevalidate(kind), { kind });
  refused(values.readRevalidate, ["Never", "sometimes", 60, "", null, false, "40000d"]);
});

it("waits are longer than nothing and shorter than a timer can be set", () => {
  assert.equal(values.readTimeout("1ms"), 1);
  assert.equal(values.readTimeout("24h"), values.TIMEOUT_MS_MAX);
  assert.equal(values.readTimeout("0s", 0), 0);
  assert.ok(values.TIMEOUT_MS_MAX < 2 ** 31);
  refused((input) => values.readTimeout(input), ["0s", "0ms", "25h", "-1s", "5"]);
});

it("numbers are within their limits", () => {
  assert.equal(values.readInteger(1, 1, 3), 1);
  assert.equal(values.readInteger(3, 1, 3), 3);
  refused((input) => values.readInteger(input, 1, 3), [0, 4, 1.5, "2", null, Number.NaN, Number.POSITIVE_INFINITY]);
  assert.equal(values.readRate(0.5), 0.5);
  refused(values.readRate, [0, -1, 10_001, "10", Number.NaN, Number.POSITIVE_INFINITY]);
});

it("usernames, passwords and tokens fit into a header", () => {
  assert.equal(values.readUsername("$oauthtoken"), "$oauthtoken");
  assert.equal(values.readSecretText("pässwörd: x", "x"), "pässwörd: x");
  assert.equal(values.readToken("eyJ.a-b_c=="), "eyJ.a-b_c==");
  refused(values.readUsername, ["a:b", "a\nb", "", 5, null]);
  refused((input) => values.readSecretText(input, "x"), ["a\r\nb", "\0", "", " ", 12_345, true]);
  refused(values.readToken, ["a b", "ä", "a\n"]);
});

it("paths are taken as they are, but not what only a shell understands", () => {
  assert.equal(values.readPath("./a b/~c", "./data"), "./a b/~c");
  refused((input) => values.readPath(input, "./data"), ["~", "~/data", "a\0b", "", 5]);
});
