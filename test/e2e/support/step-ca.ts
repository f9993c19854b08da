import { generateKeyPairSync, type KeyObject, randomUUID, sign, X509Certificate } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import acme from "acme-client";

import { ask } from "../../support/client.ts";
import { testAuthority } from "../../support/certificate.ts";
import { builtPath } from "./built-tools.ts";
import { answers, type Daemon, freePort, type Runner } from "./processes.ts";

/** The name of the provisioner that signs for whoever has a token. */
const OPERATORS = "operators";
const TOKEN_LIFE_S = 300;
const DAY_S = 24 * 60 * 60;
const LIST = "1.0/crl";

export interface StepCaOptions {
  /** Its ACME certificates live for so long, from when they are made; a day by default, as everywhere with Step-CA. */
  readonly lifeS?: number;
  /** Where it asks for tls-alpn-01. */
  readonly tlsPort?: number;
  /** By which it is reached besides loopback, through something that leads there. */
  readonly addresses?: readonly string[];
}

/** Step-CA with a root and an intermediate authority, as `step ca init --acme` sets it up. */
export class StepCa {
  /** PEM of its root. */
  readonly root: string;
  /** Where it asks for http-01, instead of port 80. */
  readonly httpPort: number;
  /** PEM of what the root's key signs by hand: Step-CA publishes the intermediate's list alone. */
  readonly #rootRevocations: string;
  readonly #url: string;
  readonly #operatorsKey: KeyObject;
  readonly #daemon: Daemon;

  private constructor(
    root: string,
    rootRevocations: string,
    httpPort: number,
    url: string,
    operatorsKey: KeyObject,
    daemon: Daemon,
  ) {
    this.root = root;
    this.#rootRevocations = rootRevocations;
    this.httpPort = httpPort;
    this.#url = url;
    this.#operatorsKey = operatorsKey;
    this.#daemon = daemon;
  }

  static async start(
    runner: Runner,
    { lifeS = DAY_S, tlsPort = 443, addresses = [] }: StepCaOptions = {},
  ): Promise<StepCa> {
    const folder = path.join(runner.folder, "step-ca");
    await mkdir(folder);
    const [port, httpPort] = [await freePort(), await freePort()];
    const authority = testAuthority("Step-CA's root");
    const intermediate = authority.issue("Step-CA's intermediate", [], { use: "authority" });
    const operators = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(path.join(folder, name), text, { mode: 0o600 });
      return path.join(folder, name);
    };
    const url = `https://127.0.0.1:${port}`;
    const listUrl = `${url}/${LIST}`;
    const config = {
      root: await file("root.pem", authority.cert),
      crt: await file("intermediate.pem", intermediate.cert),
      key: await file("intermediate-key.pem", intermediate.key),
      address: `127.0.0.1:${port}`,
      dnsNames: ["127.0.0.1", ...addresses],
      db: { type: "badgerv2", dataSource: path.join(folder, "db") },
      // OpenSSL counts a list for those certificates alone that name its address.
      crl: { enabled: true, generateOnRevoke: true, idpURL: listUrl },
      authority: {
        // A minute otherwise, which is more than some of our lives here.
        backdate: "0s",
        provisioners: [
          { type: "ACME", name: "acme", claims: { minTLSCertDuration: "1s", defaultTLSCertDuration: `${lifeS}s` } },
          {
            type: "JWK",
            name: OPERATORS,
            key: { ...operators.publicKey.export({ format: "jwk" }), ...JWK_USE },
            options: { x509: { template: templateFor(listUrl) } },
          },
        ],
      },
    };
    // The usual ports of a test's machine belong to somebody else.
    const ports = ["--acme-http-port", String(httpPort), "--acme-tls-port", String(tlsPort)];
    const command = [builtPath("step-ca"), "--insecure", ...ports];
    const daemon = await runner.start("step-ca", [...command, await file("ca.json", JSON.stringify(config))], {
      ready: () => answers(`${url}/health`, authority.cert),
    });
    return new StepCa(authority.cert, authority.revocations([]), httpPort, url, operators.privateKey, daemon);
  }

  get directory(): string {
    return `${this.#url}/acme/acme/directory`;
  }

  /** What `step ca certificate NAME` writes: the certificate with the intermediate's behind it, and its key. */
  async certificate(name: string): Promise<{ cert: string; key: string }> {
    const [key, csr] = await acme.crypto.createCsr({ commonName: name, altNames: [name] });
    const body = JSON.stringify({ csr: csr.toString(), ott: this.#token("1.0/sign", name) });
    const { certChain } = (await this.#post("1.0/sign", body)) as { certChain: string[] };
    return { cert: certChain.join(""), key: key.toString() };
  }

  /** What `step ca token` prints. */
  #token(endpoint: string, subject: string): string {
    const now = Math.floor(Date.now() / 1000);
    const times = { iat: now, nbf: now, exp: now + TOKEN_LIFE_S };
    const claims = {
      ...times,
      iss: OPERATORS,
      aud: `${this.#url}/${endpoint}`,
      sub: subject,
      sans: [subject],
      jti: randomUUID(),
    };
    const text = [{ alg: "ES256", kid: JWK_USE.kid, typ: "JWT" }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
      .join(".");
    const signature = sign("sha256", Buffer.from(text), { key: this.#operatorsKey, dsaEncoding: "ieee-p1363" });
    return `${text}.${signature.toString("base64url")}`;
  }

  async #post(endpoint: string, body: string): Promise<unknown> {
    const headers = { "Content-Type": "application/json" };
    const answer = await ask(`${this.#url}/${endpoint}`, { method: "POST", headers, body, ca: this.root });
    if (answer.status >= 300) throw new Error(`${endpoint}: ${answer.status} ${answer.body.toString()}`);
    return JSON.parse(answer.body.toString());
  }

  /** What `step ca revoke` does. */
  async revoke(cert: string): Promise<void> {
    const serial = BigInt(`0x${new X509Certificate(cert).serialNumber}`).toString();
    const body = { serial, ott: this.#token("1.0/revoke", serial), passive: true };
    await this.#post("1.0/revoke", JSON.stringify(body));
  }

  /** PEM of the two lists, since whoever looks at lists wants one of every authority in the chain. */
  async revocations(): Promise<string> {
    const { body } = await ask(`${this.#url}/${LIST}`, { ca: this.root });
    const lines = body.toString("base64").replaceAll(/.{1,64}/g, "$&\n");
    return `-----BEGIN X509 CRL-----\n${lines}-----END X509 CRL-----\n${this.#rootRevocations}`;
  }

  async stop(): Promise<void> {
    await this.#daemon.stop();
  }
}

const JWK_USE = { use: "sig", alg: "ES256", kid: "operators-key" } as const;

/** Step-CA's own for a leaf, with where its revocation list is. */
function templateFor(url: string): string {
  return `{ "subject": {{ toJson .Subject }}, "sans": {{ toJson .SANs }}, "keyUsage": ["digitalSignature"],
    "extKeyUsage": ["serverAuth", "clientAuth"], "crlDistributionPoints": ["${url}"] }`;
}
