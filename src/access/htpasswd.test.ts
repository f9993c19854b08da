import assert from "node:assert/strict";
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { tempDir } from "../../test/support/temp.ts";
import { BcryptVerifier } from "./bcrypt.ts";
import { HtpasswdFile } from "./htpasswd-file.ts";
import { parseHtpasswd } from "./htpasswd.ts";
import { matchesHash, parsePasswordHash, type PasswordHash } from "./password-hash.ts";

/** `htpasswd -nbB -C 4 me "correct horse"`, as Apache prints it. */
const BCRYPT = "$2y$04$1Q8jHfGm2vYJmXWq2W7fDe0HhYqjWQh3Wc7o6vXKpZ6vVfQ6mJr4e";
/** `printf %s "correct horse" | argon2 saltsalt -id -m 8 -t 1 -p 1 -e` */
const ARGON2_SHAPE = /^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$/;

test("lines are users; comments and empty lines are nothing", () => {
  const { users, problems } = parseHtpasswd(`# users\n\nme:${BCRYPT}\n  ci-1:${BCRYPT}\r\n`);
  assert.deepEqual([...users.keys()], ["me", "ci-1"]);
  assert.deepEqual(problems, []);
});

for (const [line, message] of [
  ["me", "is not USER:HASH"],
  [":x", "is not USER:HASH"],
  ["me:$apr1$x$y", 'the hash of "me" is MD5 or SHA-1, which anybody can guess'],
  ["me:{SHA}5baa6", 'the hash of "me" is MD5 or SHA-1, which anybody can guess'],
  ["me:secret", 'the hash of "me" is neither a bcrypt hash nor one of argon2'],
  [`me:${BCRYPT.replace("$04$", "$17$")}`, 'the hash of "me" has a bcrypt cost of 17, more than 15'],
  [`me:${BCRYPT.replace("$04$", "$03$")}`, 'the hash of "me" has a bcrypt cost of 03, less than 4'],
  ...["m=8,t=0,p=1", "m=8,t=1,p=0", "m=8,t=1,p=2"].map(
    (parameters) =>
      [
        `me:$argon2id$v=19$${parameters}$c2FsdHNhbHQ$c2FsdHNhbHQ`,
        'the hash of "me" has parameters that argon2 does not know (RFC 9106)',
      ] as const,
  ),
  [
    "me:$argon2id$v=19$m=8,t=1,p=1$c2FsdA$c2FsdHNhbHQ",
    'the hash of "me" has parameters that argon2 does not know (RFC 9106)',
  ],
  [
    "me:$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHQ",
    'the hash of "me" wants more than 262144 KiB or 20 passes of argon2',
  ],
] as const) {
  test(`a line that cannot be used is told, and never quoted: ${message}`, () => {
    const { users, problems } = parseHtpasswd(`other:${BCRYPT}\n${line}`);
    assert.deepEqual([...users.keys()], ["other"]);
    assert.deepEqual(problems, [{ line: 2, message }]);
  });
}

test("passwords match their bcrypt and argon2 hashes, and no others", async (t) => {
  const { hash } = await import("bcryptjs");
  const { argon2Sync } = await import("node:crypto");
  const bcrypt = new BcryptVerifier();
  t.after(async () => await bcrypt.stop());
  const salt = Buffer.from("saltsalt");
  const options = { message: "correct horse", nonce: salt, parallelism: 1, tagLength: 32, memory: 64, passes: 2 };
  const tag = argon2Sync("argon2id", options);
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64").replaceAll("=", "");
  const argon2 = `$argon2id$v=19$m=64,t=2,p=1$${base64(salt)}$${base64(tag)}`;
  assert.match(argon2, ARGON2_SHAPE);
  for (const text of [await hash("correct horse", 4), argon2]) {
    const parsed = parsePasswordHash(text) as PasswordHash;
    assert.ok(!("problem" in parsed));
    assert.equal(await matchesHash(parsed, "correct horse", bcrypt), true);
    assert.equal(await matchesHash(parsed, "correct horsf", bcrypt), false);
    assert.equal(await matchesHash(parsed, "", bcrypt), false);
  }
});

test("a changed file keeps its other lines and its mode; a new one is for its owner alone", async (t) => {
  const path = join(await tempDir(t), "users");
  const fresh = await HtpasswdFile.read(path);
  assert.deepEqual(fresh.users, []);
  fresh.set("me", "hash");
  await fresh.write();
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await writeFile(path, "# team\nme:old\n\nyou:theirs\n");
  await chmod(path, 0o640);
  const file = await HtpasswdFile.read(path);
  assert.deepEqual(file.users, ["me", "you"]);
  file.set("me", "new");
  file.set("ci", "more");
  file.remove("you");
  await file.write();
  assert.equal(await readFile(path, "utf8"), "# team\nme:new\n\nci:more\n");
  assert.equal((await stat(path)).mode & 0o777, 0o640);
});
