import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { testAuthority } from "../../test/support/certificate.ts";
import { eventually } from "../../test/support/open-files.ts";
import { tempDir } from "../../test/support/temp.ts";
import { followClients } from "./follow-files.ts";

test("a revocation list that another authority has signed is not used: it would lock everybody out", async (t) => {
  const folder = await tempDir(t);
  const [clients, other] = [testAuthority("clients"), testAuthority("other")];
  const files = { ca: join(folder, "ca.pem"), crl: join(folder, "crl.pem") };
  const [ca, crl] = [clients.cert, clients.revocations([])];
  await writeFile(files.ca, ca);
  await writeFile(files.crl, crl);
  const [used, said]: [unknown[], string[]] = [[], []];
  const say = (_: object, text: string) => void said.push(text);
  const log = { info: say, warn: say, error: say } as never;
  const following = followClients({ ca, crl, names: ["*"], files }, log, (one) => void used.push(one));
  t.after(async () => await following.stop());
  const write = async (text: string) => {
    await writeFile(`${files.crl}.new`, text);
    await rename(`${files.crl}.new`, files.crl);
  };
  await write(other.revocations([]));
  await eventually(async () => said.length > 0);
  assert.deepEqual(said, [`the certificates from before stay in use: "${files.crl}" has no list of "CN=clients"`]);
  const both = other.revocations([]) + clients.revocations([7]);
  await write(both);
  await eventually(async () => used.length > 0);
  assert.deepEqual(used, [{ ca, crl: both }]);
});
