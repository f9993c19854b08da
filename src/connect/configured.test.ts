import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { configFolder, yaml } from "../../test/support/config-folder.ts";
import { selfSignedCertificate, testAuthority } from "../../test/support/certificate.ts";
import { configuredView } from "./configured.ts";

const authority = testAuthority();
const certificate = (...names: string[]) => {
  const { cert, key } = selfSignedCertificate(names);
  return { "cert.pem": cert, "key.pem": key };
};
const HTPASSWD = { users: "me:$2y$05$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" };
const TLS = "tls: { mode: files, cert: cert.pem, key: key.pem }\n";
const OPEN = "access: { anonymous: true }\n";

interface Row {
  readonly title: string;
  readonly text: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly url: string;
  readonly isLocal?: boolean;
  readonly isForAll?: boolean;
  readonly ways?: readonly string[];
  readonly hasCa?: boolean;
}

const ROWS: readonly Row[] = [
  { title: "nothing at all", text: "{}", url: "http://127.0.0.1:5000", isLocal: true },
  { title: "an address", text: `listen: 10.0.0.5:5000\n${OPEN}`, url: "http://10.0.0.5:5000" },
  { title: "a port that is usual", text: `listen: 10.0.0.5:80\n${OPEN}`, url: "http://10.0.0.5" },
  { title: "an IPv6 address", text: `listen: "[fd00::5]:5000"\n${OPEN}`, url: "http://[fd00::5]:5000" },
  { title: "all addresses", text: `listen: 0.0.0.0:5000\n${OPEN}`, url: "http://127.0.0.1:5000", isLocal: true },
  { title: "all IPv6 addresses", text: `listen: "[::]:5000"\n${OPEN}`, url: "http://127.0.0.1:5000", isLocal: true },
  {
    title: "what `url` says",
    text: `url: https://cache.example.com\nlisten: 0.0.0.0:5000\n${OPEN}`,
    url: "https://cache.example.com",
  },
  {
    title: "the certificate's name",
    text: `listen: 0.0.0.0:443\n${TLS}${OPEN}`,
    files: certificate("localhost", "cache.example.com"),
    url: "https://cache.example.com",
    hasCa: true,
  },
  {
    title: "the certificate's name that means all registries",
    text: `listen: 0.0.0.0:8443\n${TLS}${OPEN}registries: { ghcr: { hostnames: [ghcr.example.com] } }\n`,
    files: certificate("ghcr.example.com", "cache.example.com"),
    url: "https://cache.example.com:8443",
    hasCa: true,
  },
  {
    title: "a certificate for single registries alone",
    text: `listen: 0.0.0.0:443\n${TLS}${OPEN}registries: { ghcr: { hostnames: [ghcr.example.com] } }\n`,
    files: certificate("ghcr.example.com"),
    url: "https://ghcr.example.com",
    isForAll: false,
    hasCa: true,
  },
  {
    title: "a certificate for addresses",
    text: `listen: 0.0.0.0:5000\n${TLS}${OPEN}`,
    files: certificate("127.0.0.1", "10.0.0.5"),
    url: "https://10.0.0.5:5000",
    hasCa: true,
  },
  {
    title: "a certificate for everything below a name",
    text: `listen: 10.0.0.5:443\n${TLS}${OPEN}`,
    files: certificate("*.example.com"),
    url: "https://10.0.0.5",
    hasCa: true,
  },
  {
    title: "a certificate on loopback",
    text: `listen: 127.0.0.1:5000\n${TLS}`,
    files: certificate("cache.example.com", "localhost"),
    url: "https://localhost:5000",
    isLocal: true,
    hasCa: true,
  },
  {
    title: "names that an authority is asked for",
    text: `listen: 0.0.0.0:443\ntls: { mode: acme, email: ops@example.com, names: [cache.example.com] }\n${OPEN}`,
    url: "https://cache.example.com",
  },
  {
    title: "passwords",
    text: `listen: 10.0.0.5:5000\naccess: { basic: { htpasswd: users } }\n`,
    files: HTPASSWD,
    url: "http://10.0.0.5:5000",
    ways: ["basic"],
  },
  {
    title: "all methods",
    text: `listen: 10.0.0.5:443\n${TLS}access: { anonymous: true, basic: { htpasswd: users }, mtls: { ca: ca.pem }, paths: [{ name: lab, token: 0123456789-of-the-lab-0123456789 }] }\n`,
    files: { ...HTPASSWD, ...certificate("cache.example.com"), "ca.pem": authority.cert },
    url: "https://cache.example.com",
    ways: ["anonymous", "basic", "mtls", "path"],
    hasCa: true,
  },
  {
    title: "networks alone",
    text: "listen: 10.0.0.5:5000\naccess: { networks: [10.0.0.0/8] }\n",
    url: "http://10.0.0.5:5000",
    ways: ["anonymous"],
  },
  {
    title: "several addresses: the methods of the one that `url` leads to",
    text: `url: https://cache.example.com:8443\nlisten:\n  - { address: 10.0.0.5:443, access: [mtls] }\n  - { address: 10.0.0.5:8443, access: [basic] }\n${TLS}access: { basic: { htpasswd: users }, mtls: { ca: ca.pem } }\n`,
    files: { ...HTPASSWD, ...certificate("cache.example.com"), "ca.pem": authority.cert },
    url: "https://cache.example.com:8443",
    ways: ["basic"],
    hasCa: true,
  },
  {
    title: "several addresses: the first one",
    text: `listen:\n  - { address: 10.0.0.5:443, access: [mtls] }\n  - { address: 10.0.0.5:8443, access: [basic] }\n${TLS}access: { basic: { htpasswd: users }, mtls: { ca: ca.pem } }\n`,
    files: { ...HTPASSWD, ...certificate("cache.example.com"), "ca.pem": authority.cert },
    url: "https://cache.example.com",
    ways: ["mtls"],
    hasCa: true,
  },
];

describe("by which address clients reach a configured cache, and how they come in there", () => {
  for (const { title, text, files = {}, url, isLocal = false, isForAll = true, ways, hasCa = false } of ROWS) {
    test(`${title}: ${url}`, async (t) => {
      const folder = await configFolder(t);
      const found = configuredView(await folder.load({ files: { ...files, ...yaml(text) } }));
      assert.deepEqual(
        {
          url: found.view.url,
          isLocal: found.isLocal,
          isForAll: found.view.isForAll,
          ways: found.view.ways,
          hasCa: found.view.ca !== undefined,
        },
        { url, isLocal, isForAll, ways: ways ?? ["anonymous"], hasCa },
      );
    });
  }
});
