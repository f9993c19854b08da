import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";

/** What `docker login` and `podman login` write below a home folder, for one registry; without a password they log out. */
export async function logIn(home: string, host: string, user: string, password: string | undefined): Promise<void> {
  const file = path.join(home, ".docker/config.json");
  await mkdir(path.dirname(file), { recursive: true });
  const auths = password === undefined ? {} : { [host]: { auth: encoded(user, password) } };
  await writeFile(file, JSON.stringify({ auths }), { mode: 0o600 });
}

/** As the Basic scheme has it. */
export function encoded(user: string, password: string): string {
  return Buffer.from(`${user}:${password}`).toString("base64");
}
