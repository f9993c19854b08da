import type { Client } from "./client.ts";
import { podman } from "./containers.ts";
import { containerd } from "./containerd.ts";
import { docker } from "./docker.ts";

/** All clients that can be set up, in the order in which they are listed. */
export const CLIENTS: readonly Client[] = [docker, containerd, podman];

/** By its name or another word for it. */
export function clientNamed(word: string): Client | undefined {
  const name = word.toLowerCase();
  return CLIENTS.find((client) => client.name === name || client.aliases.includes(name));
}
