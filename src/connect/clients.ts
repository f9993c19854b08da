import type { Client } from "./client.ts";
import { buildkit, buildx } from "./buildkit.ts";
import { crane, helm, kaniko, nomad, oras, regctl } from "./by-hand.ts";
import { kind, minikube, talos } from "./clusters.ts";
import { podman } from "./containers.ts";
import { containerd, nerdctl } from "./containerd.ts";
import { docker } from "./docker.ts";
import { k3s } from "./rancher.ts";

/** All clients that can be set up, in the order in which they are listed. */
export const CLIENTS: readonly Client[] = [
  docker,
  containerd,
  podman,
  buildkit,
  buildx,
  k3s,
  nerdctl,
  kaniko,
  talos,
  kind,
  minikube,
  nomad,
  crane,
  oras,
  helm,
  regctl,
];

/** By its name or another word for it. */
export function clientNamed(word: string): Client | undefined {
  const name = word.toLowerCase();
  return CLIENTS.find((client) => client.name === name || client.aliases.includes(name));
}
