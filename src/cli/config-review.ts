import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { DOT_ENV } from "../config/environment.ts";
import { diff, envDiff, said } from "../wizard/diff.ts";
import { shortPath } from "../lib/short-path.ts";
import { changedPaths, type Prepared, type Target } from "../wizard/files.ts";
import { OWN_TLS } from "../wizard/questions/tls.ts";

export interface Review {
  readonly cwd: string;
  /** Whether none of it is going to be, since nobody has said yes. */
  readonly isRefused: boolean;
}

/** What is to be written, without secrets. */
export function reviewOf(target: Target, prepared: Prepared, { cwd, isRefused }: Review): string {
  const { yaml, dotEnv, plan } = prepared;
  const users = plan.making.users.map(({ file, name }) => ({
    path: resolve(target.folder, file),
    what: `user ${name}`,
  }));
  const parts = [
    ...(yaml === target.yaml ? [] : [`${target.name}:`, indented(target.isNew ? said(yaml) : diff(target.yaml, yaml))]),
    ...(dotEnv === target.dotEnv ? [] : [`\n${DOT_ENV}, for you alone:`, indented(envDiff(target.dotEnv, dotEnv))]),
  ];
  const told = new Set([target.name, DOT_ENV].map((name) => resolve(target.folder, name)));
  const others = changedPaths(target, prepared).filter((path) => !told.has(path) && path !== target.path);
  const files = (what: string, isAmong: (path: string) => boolean) => {
    const lines = others.filter(isAmong).map((path) => {
      const user = users.find((one) => one.path === path);
      return `  ${shortPath(path, cwd)}${user === undefined ? "" : `: ${user.what}`}`;
    });
    return lines.length === 0 ? [] : [`\n${isRefused ? "would be " : ""}${what} beside it:`, ...lines];
  };
  const made = files("made", (path) => !existsSync(path));
  return [...parts, ...made, ...files("changed", existsSync)].join("\n").trimStart();
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, "  ");
}

export interface Typed {
  readonly program: string;
  /** `--config FILE`, with a space before it, where it is needed. */
  readonly flags: string;
  /** What makes a service of it, where that is known. */
  readonly install: string | undefined;
}

/** What to type now. */
export function nextSteps({ plan, hasUsers }: Prepared, { program, flags, install }: Typed): string {
  const { answers } = plan;
  const { access, tls } = answers;
  const isOwn = access.mtlsCa === (OWN_TLS.kind === "files" ? OWN_TLS.ca : undefined);
  const isTold = tls.kind === "files" && tls.ca !== undefined;
  const steps: readonly (readonly [string, string] | undefined)[] = [
    ["start the cache", `${program} serve${flags}`],
    install === undefined ? undefined : ["keep it running", install],
    ["set a client up", `${program} connect docker${flags}`],
    ["the Docker here", `${program} connect docker${flags} --apply`],
    access.htpasswd !== undefined && !hasUsers ? ["add a user", `${program} user add NAME${flags}`] : undefined,
    access.mtlsCa !== undefined && isOwn ? ["more certificates", `${program} certificate client NAME`] : undefined,
    isTold ? ["what hosts must trust", tls.ca] : undefined,
  ];
  const there = steps.filter((step) => step !== undefined);
  const width = Math.max(...there.map(([what]) => what.length));
  return there.map(([what, how]) => `${what.padEnd(width)}  ${how}`).join("\n");
}
