import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it, type TestContext } from "node:test";
import { BUILT_IN_REGISTRIES } from "../src/config/built-in.ts";
import { effectiveObject } from "../src/config/effective.ts";
import { CONFIG_VARIABLE, SECRET_KEYS, SETTING_VARIABLES } from "../src/config/environment.ts";
import { knownKeys } from "../src/config/schema.ts";
import { selfSignedCertificate, testAuthority } from "./support/certificate.ts";
import { configFolder } from "./support/config-folder.ts";

const text = await readFile(new URL("../docs/configuration.md", import.meta.url), "utf8");

/** The rows of all tables below a heading, up to the next one of any level: key and default. */
function rowsBelow(heading: string): Map<string, string> {
  const section = text.split(/^#+ /m).find((one) => one.startsWith(`${heading}\n`));
  assert.ok(section !== undefined, heading);
  const rows = section.matchAll(/^\| `([^`]+)` \| (?:`([^`]*)`|([^|]*)) \|/gm);
  return new Map([...rows].map(([, key = "", code, words = ""]) => [key, code ?? words]));
}

describe("docs/configuration.md", () => {
  it("has every key of the process, and no other", () => {
    const groups = new Set(["log", "tls"]);
    const expected = knownKeys([]).flatMap((key) =>
      groups.has(key) ? knownKeys([key]).map((below) => `${key}.${below}`) : [key],
    );
    assert.deepEqual([...rowsBelow("The process").keys()].toSorted(), expected.toSorted());
  });

  it("has every key of a registry and of a tag rule, and no other", () => {
    const ofRegistry = knownKeys(["registries", "ghcr"]);
    assert.deepEqual([...rowsBelow("A registry").keys()].toSorted(), [...ofRegistry].toSorted());
    const ofRule = knownKeys(["registries", "ghcr", "tags"]);
    assert.deepEqual([...rowsBelow("`tags`").keys()].toSorted(), [...ofRule].toSorted());
  });

  it("has every key of access and of its rules, and no other", () => {
    assert.deepEqual([...rowsBelow("Access").keys()].toSorted(), knownKeys(["access"]).toSorted());
    assert.deepEqual([...rowsBelow("`mtls`").keys()].toSorted(), knownKeys(["access", "mtls"]).toSorted());
    assert.deepEqual([...rowsBelow("`rules`").keys()].toSorted(), knownKeys(["access", "rules"]).toSorted());
  });

  it("has every key of the API and of webhooks, and no other", () => {
    assert.deepEqual([...rowsBelow("The API").keys()].toSorted(), knownKeys(["api"]).toSorted());
    assert.deepEqual([...rowsBelow("Webhooks").keys()].toSorted(), knownKeys(["webhooks", 0]).toSorted());
  });

  it("has every key of an address, and no other", () => {
    assert.deepEqual([...rowsBelow("Addresses").keys()].toSorted(), knownKeys(["listen", 0]).toSorted());
  });

  it("names every built-in registry", () => {
    for (const { id } of BUILT_IN_REGISTRIES)
      assert.ok(text.includes(`\`${id}\``), `docs/configuration.md does not name ${id}`);
  });

  it("gives the defaults that are in effect", async (t) => {
    const folder = await configFolder(t);
    for (const [key, value] of rowsBelow("The process")) {
      if (!/^[\w.:/]+$/.test(value)) continue;
      const [top = "", below] = key.split(".");
      const written = below === undefined ? `${top}: ${value}` : `${top}: { ${below}: ${value} }`;
      await assertDefault(folder, written);
    }
    for (const [key, value] of rowsBelow("A registry")) {
      if (/^[\w.]+$/.test(value) && value !== "none" && value !== "unlimited") {
        await assertDefault(folder, `registries: { ghcr: { ${key}: ${value} } }`);
      }
    }
  });

  it("shows examples that work", async (t) => {
    assert.equal(await examplesThatLoad(t, text), 7);
  });

  it("names every variable", () => {
    for (const name of [CONFIG_VARIABLE, ...Object.values(SETTING_VARIABLES)])
      assert.ok(text.includes(`| \`${name}\` |`));
    for (const key of SECRET_KEYS) assert.ok(text.includes(`| \`REGISTRY_CACHE_<ID>_${key.toUpperCase()}\` |`));
  });
});

describe("docs/security.md", () => {
  it("shows examples that work", async (t) => {
    const page = await readFile(new URL("../docs/security.md", import.meta.url), "utf8");
    // The one that begins like this is Traefik's own.
    assert.equal(await examplesThatLoad(t, page.replace(/```yaml\nhttp:.*?```/s, "")), 10);
  });
});

describe("docs/deployment.md", () => {
  it("has every variable of the Compose files, and no other", async () => {
    const read = async (file: string) => await readFile(new URL(`../${file}`, import.meta.url), "utf8");
    const traefik = ["labels.yaml", "compose.yaml", "existing.yaml"].map((name) => `deploy/traefik/${name}`);
    const files = await Promise.all(["compose.yaml", "deploy/compose/acme.yaml", ...traefik].map(read));
    const used = files.flatMap((file) => [...file.matchAll(/\$\{([A-Z_]+)/g)].map(([, name = ""]) => name));
    const page = await read("docs/deployment.md");
    const cells = [...page.matchAll(/^\| ((?:`[A-Z_]+`(?:, )?)+) \|/gm)].map(([, cell = ""]) => cell);
    const told = cells.flatMap((cell) => [...cell.matchAll(/`([A-Z_]+)`/g)].map(([, name = ""]) => name));
    assert.deepEqual([...new Set(told)].toSorted(), [...new Set(used)].toSorted());
  });
});

describe("docs/wizard.md", () => {
  it("shows examples that work", async (t) => {
    const page = await readFile(new URL("../docs/wizard.md", import.meta.url), "utf8");
    assert.equal(await examplesThatLoad(t, page), 1);
  });

  it("has every option that answers a question", async () => {
    const page = await readFile(new URL("../docs/wizard.md", import.meta.url), "utf8");
    const options = await readFile(new URL("../src/cli/config-options.ts", import.meta.url), "utf8");
    const flags = [...options.matchAll(/["(](--[a-z-]+)[ "]/g)].map(([, flag = ""]) => flag);
    assert.ok(flags.length > 20);
    for (const flag of flags) assert.ok(page.includes(`\`${flag}`), flag);
  });
});

/** Loads all examples of a page, with the files that they name; says how many there are. */
async function examplesThatLoad(t: TestContext, page: string): Promise<number> {
  const folder = await configFolder(t);
  const { cert, key } = selfSignedCertificate();
  const authority = testAuthority();
  const authorities = { "corp-ca.pem": cert, "step-ca-root.pem": cert, "clients-ca.pem": authority.cert };
  const secrets = { "users.htpasswd": "", "lab.token": "0123456789abcdef0123456789abcdef" };
  await folder.write({ ...authorities, ...secrets, "clients-crl.pem": authority.revocations([]) });
  await folder.write({ "cache.pem": cert, "cache-key.pem": key });
  const own = {
    "certificates/cache.pem": cert,
    "certificates/cache-key.pem": key,
    "certificates/ca.pem": authority.cert,
  };
  await folder.write(own);
  const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, example = ""]) => example);
  const environment = { REGISTRY_CACHE_GHCR_PASSWORD: "secret" };
  for (const example of examples) {
    const isWithUser = example.includes("username:");
    await folder.load({ files: { "registry-cache.yaml": example }, ...(isWithUser ? { environment } : {}) });
  }
  return examples.length;
}

/** Writing the default down must change nothing. */
async function assertDefault(folder: Awaited<ReturnType<typeof configFolder>>, written: string): Promise<void> {
  const { source: _, ...stated } = await folder.load({ files: { "registry-cache.yaml": `${written}\n` } });
  const { source: __, ...silent } = await folder.load({ files: { "registry-cache.yaml": "{}\n" } });
  assert.deepEqual(
    effectiveObject({ ...stated, source: undefined }),
    effectiveObject({ ...silent, source: undefined }),
    written,
  );
}
