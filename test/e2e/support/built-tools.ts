import { type GoProgram, goProgramFile } from "../../support/go-program.ts";
import { isProgram } from "../../support/programs.ts";

/** Clients and an authority that Debian does not have; `make e2e-tools` builds them in this order. */
const PROGRAMS = {
  crane: { module: "github.com/google/go-containerregistry", version: "v0.22.1", command: "cmd/crane" },
  oras: { module: "oras.land/oras", version: "v1.3.6", command: "cmd/oras" },
  regctl: { module: "github.com/regclient/regclient", version: "v0.11.7", command: "cmd/regctl" },
  helm: { module: "helm.sh/helm/v3", version: "v3.22.0", command: "cmd/helm" },
  "step-ca": { module: "github.com/smallstep/certificates", version: "v0.30.2", command: "cmd/step-ca" },
  buildctl: { module: "github.com/moby/buildkit", version: "v0.34.2", command: "cmd/buildctl" },
  buildkitd: { module: "github.com/moby/buildkit", version: "v0.34.2", command: "cmd/buildkitd" },
  kustomize: { module: "sigs.k8s.io/kustomize/kustomize/v5", version: "v5.8.1", command: "." },
  nerdctl: { module: "github.com/containerd/nerdctl", version: "v1.7.7", command: "cmd/nerdctl" },
  // Engine 29; Debian's is 20.10.
  dockerd: { module: "github.com/moby/moby/v2", version: "v2.0.0-beta.24", command: "cmd/dockerd" },
  // A reader of files for clients that cannot run in tests. Another text of it wants another version.
  "client-files": {
    module: "registry-cache/check-client-files",
    version: "1",
    command: ".",
    folder: `${import.meta.dirname}/client-files`,
  },
  // Debian's docker-compose is 1.29.
  compose: { module: "github.com/docker/compose/v2", version: "v2.40.3", command: "cmd" },
} as const;

export type BuiltTool = keyof typeof PROGRAMS;

export const BUILT_TOOLS: readonly GoProgram[] = Object.entries(PROGRAMS).map(([name, one]) => ({ name, ...one }));

/** The full path of a program that is known to be built. */
export function builtPath(tool: BuiltTool): string {
  return goProgramFile({ name: tool, ...PROGRAMS[tool] });
}

/** Why tests with these programs cannot run here, for node:test's `skip`; false where they can. No machine must have them. */
export function notBuilt(...tools: readonly BuiltTool[]): string | false {
  const missing = tools.filter((tool) => !isProgram(builtPath(tool)));
  return missing.length > 0 && `not built: ${missing.join(", ")} (make e2e-tools, with Go)`;
}
