import type { Client, ConnectOptions, Setup } from "./client.ts";
import { hostsTomlSteps } from "./hosts-toml.ts";
import type { CacheView } from "./view.ts";

/** containerd, as Kubernetes uses it: one hosts.toml, and the key of its own configuration that says where such files lie. */
export const containerd: Client = {
  name: "containerd",
  aliases: ["cri", "kubernetes", "kubelet"],
  title: "containerd",
  detect: "detect_containerd",
  variants: (view, options) => [
    { name: "containerd-2", setup: setup(view, options) },
    { name: "containerd-1", setup: setup(view, options) },
  ],
};

function setup(view: CacheView, options: ConnectOptions): Setup {
  return {
    ways: ["anonymous", "basic", "mtls"],
    steps: [{ kind: "sh", line: "containerd_config" }, ...hostsTomlSteps(view, options, { folder: "@certsd@" })],
    // hosts.toml is read at each pull.
    restart: { verb: "restart", service: "containerd", onlyFor: "@containerd@/config.toml" },
    notes: [
      "`ctr` reads these files with --hosts-dir @certsd@ alone; crictl, nerdctl and the kubelet need nothing more.",
    ],
    tryIt: "crictl pull docker.io/library/alpine:latest",
  };
}
