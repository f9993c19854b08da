import type { Client, ConnectOptions, Setup } from "./client.ts";
import { HOSTS_TOML_WAYS, hostsTomlNotes, hostsTomlSteps } from "./hosts-toml.ts";
import { imageOf } from "./parts.ts";
import type { CacheView } from "./view.ts";

/** containerd, as Kubernetes uses it: one hosts.toml, and the key of its own configuration that says where such files lie. */
export const containerd: Client = {
  name: "containerd",
  aliases: ["cri", "kubernetes", "kubelet"],
  title: "containerd",
  scope: "host",
  detect: "detect_containerd",
  variants: (view, options) => [
    { name: "containerd-2", setup: setup(view, options) },
    { name: "containerd-1", setup: setup(view, options) },
  ],
};

function setup(view: CacheView, options: ConnectOptions): Setup {
  return {
    ways: HOSTS_TOML_WAYS,
    steps: [{ kind: "sh", line: "containerd_config" }, ...hostsTomlSteps(view, options, { folder: "@certsd@" })],
    // hosts.toml is read at each pull.
    restart: { verb: "restart", service: "containerd", onlyFor: "@containerd@/config.toml" },
    notes: [
      ...hostsTomlNotes(view),
      "`ctr` reads these files with --hosts-dir @certsd@ alone; crictl, nerdctl and the kubelet need nothing more.",
    ],
    tryIt: `crictl pull ${imageOf(view, options)}`,
  };
}

/** The same files; its own folder of them, and no daemon to tell. */
export const nerdctl: Client = {
  name: "nerdctl",
  aliases: [],
  title: "nerdctl",
  scope: "host",
  detect: "detect_none",
  variants: (view, options) => [
    {
      name: "nerdctl",
      setup: {
        ways: HOSTS_TOML_WAYS,
        steps: hostsTomlSteps(view, options, { folder: "@containerd@/certs.d" }),
        notes: [
          ...hostsTomlNotes(view),
          "With rootless containerd the settings are the user's: add --user.",
          "`nerdctl build` pulls by BuildKit: set that up too (connect buildkit).",
        ],
        tryIt: `nerdctl pull ${imageOf(view, options)}`,
      },
    },
  ],
};
