import { join } from "node:path";
import { describe, test } from "node:test";
import { cacheView, VIEWS } from "../../test/support/cache-views.ts";
import { FakeHost } from "../../test/support/fake-host.ts";
import { BY_DEFAULT, type Client, type ConnectOptions } from "./client.ts";
import { CLIENTS } from "./clients.ts";
import { setupScript } from "./script.ts";
import type { CacheView } from "./view.ts";

interface Case {
  readonly name: string;
  readonly view: CacheView;
  readonly options: ConnectOptions;
}

const CASES: readonly Case[] = [
  ...Object.entries(VIEWS).map(([name, view]) => ({ name, view, options: BY_DEFAULT })),
  {
    name: "one registry alone, and nobody else to ask",
    view: cacheView(),
    options: { only: ["ghcr.io"], fallback: false },
  },
];

/** What somebody reads who runs `registry-cache connect CLIENT`, on a host with nothing on it. */
async function printed(host: FakeHost, client: Client, { name, view, options }: Case): Promise<string> {
  const script = setupScript(client, view, options);
  const texts = [`########## ${name}`];
  for (const variant of client.variants(view, options)) {
    const flags = ["--print", "--variant", variant.name];
    const { out, err } = await host.run(script, { flags, environment: await host.bareTools() });
    texts.push(`===== ${variant.name}\n${out}${err}`);
  }
  return texts.join("\n");
}

describe("settings that are printed", { concurrency: 2 }, () => {
  for (const client of CLIENTS) {
    test(client.title, async (t) => {
      const host = await FakeHost.create(t);
      const texts = [];
      for (const one of CASES) texts.push(await printed(host, client, one));
      const text = texts.join("\n").replaceAll(host.home, "/home/me");
      // `node --test --test-update-snapshots` writes them anew.
      t.assert.fileSnapshot(text, join(import.meta.dirname, "goldens", `${client.name}.txt`), {
        serializers: [(value: string) => value],
      });
    });
  }
});
