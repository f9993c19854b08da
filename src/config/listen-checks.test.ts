import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ListenAddress } from "./config.ts";
import { checkLoops, checkRepeatedListen } from "./listen-checks.ts";
import { draftRegistries } from "./registries.ts";

function drafts(upstream: string) {
  return draftRegistries(new Map([["corp", { serves: "registry.corp.example", upstream }]]));
}

describe("a registry whose upstream is the cache itself", () => {
  const loops: readonly (readonly [listen: ListenAddress, upstream: string])[] = [
    [{ host: "127.0.0.1", port: 5000 }, "http://127.0.0.1:5000"],
    [{ host: "127.0.0.1", port: 5000 }, "http://localhost:5000"],
    [{ host: "localhost", port: 5000 }, "http://[::1]:5000"],
    [{ host: "0.0.0.0", port: 5000 }, "http://127.0.0.1:5000"],
    [{ host: "::", port: 80 }, "http://localhost"],
    [{ host: "10.0.0.5", port: 443 }, "https://10.0.0.5"],
  ];
  for (const [listen, upstream] of loops) {
    test(`${upstream} while listening on ${listen.host} port ${listen.port}`, () => {
      const findings = checkLoops(drafts(upstream), [listen]);
      assert.deepEqual(
        findings.map(({ path }) => path),
        [["registries", "corp", "upstream"]],
      );
    });
  }

  const others: typeof loops = [
    [{ host: "127.0.0.1", port: 5000 }, "http://127.0.0.1:5001"],
    [{ host: "127.0.0.2", port: 5000 }, "http://127.0.0.1:5000"],
    [{ host: "0.0.0.0", port: 5000 }, "http://registry.corp.example:5000"],
    [{ host: "127.0.0.1", port: 0 }, "http://127.0.0.1:5000"],
  ];
  for (const [listen, upstream] of others) {
    test(`is not ${upstream} while listening on ${listen.host} port ${listen.port}`, () => {
      assert.deepEqual(checkLoops(drafts(upstream), [listen]), []);
    });
  }

  test("is never a built-in one that the user leaves as it is", () => {
    assert.deepEqual(checkLoops(draftRegistries(new Map()), [{ host: "0.0.0.0", port: 443 }]), []);
  });
});

test("an address given twice is found at its second place", () => {
  const [first, second] = [
    { host: "127.0.0.1", port: 5000 },
    { host: "::1", port: 5000 },
  ] as const;
  assert.deepEqual(checkRepeatedListen([first, second]), []);
  assert.deepEqual(
    checkRepeatedListen([first, second, { ...first }]).map(({ path }) => path),
    [["listen", 2]],
  );
});

test("port 0 may be given as often as one likes", () => {
  const any = { host: "127.0.0.1", port: 0 };
  assert.deepEqual(checkRepeatedListen([any, any]), []);
});
