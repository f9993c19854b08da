import { execFileSync } from "node:child_process";
import { readFile, realpath, writeFile } from "node:fs/promises";
import path from "node:path";

import { patiently } from "../certificates.ts";
import { toolPath } from "../tools.ts";
import type { World } from "../world.ts";
import { CHECKOUT } from "./image.ts";

/**
 * This machine once more: what is written there lies in layers of its own, and all that runs there ends with it. $1: where, $2: the
 * checkout, the others: folders that it needs besides.
 */
const SETUP = `
set -eu
where=$1 checkout=$2
shift 2
layer() { # NAME LOWER MOUNT
  mkdir -p "$where/$1-upper" "$where/$1-work"
  mount -t overlay overlay -o "lowerdir=$2,upperdir=$where/$1-upper,workdir=$where/$1-work" "$3"
}
mkdir "$where/root"
layer root / "$where/root"
layer checkout "$checkout" "$where/root$checkout"
for needed in "$@"; do
  [ -e "$where/root$needed" ] || { mkdir -p "$where/root$needed"; mount --bind "$needed" "$where/root$needed"; }
done
mount -t proc proc "$where/root/proc"
mount --rbind /dev "$where/root/dev"
mount -t tmpfs -o mode=755 tmpfs "$where/root/run"
mkdir -p "$where/root/run/systemd/system"
cp "$where/systemctl" "$where/root/usr/bin/systemctl"
exec chroot "$where/root" sleep infinity
`;

/**
 * Does of systemd what a test needs: runs ExecStart as the unit's user, with its capabilities, with nothing to write but what the unit
 * names. Seccomp and the namespaces of its other settings are left out.
 */
const SYSTEMCTL = `#!/bin/sh
unit=/etc/systemd/system/registry-cache.service
state=/run/registry-cache-service
while case \${1-} in --*) true ;; *) false ;; esac; do shift; done
pid() { cat $state.pid 2>/dev/null; }
# Nobody takes notice of who has ended there: they stay as zombies.
runs() { [ -n "$(pid)" ] && [ -d "/proc/$(pid)" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$(pid)/status"; }
stop() {
  runs && kill "$(pid)"
  while runs; do sleep 0.1; done
  rm -f $state.pid
}
start() {
  user=$(sed -n 's/^User=//p' $unit)
  data=/var/lib/$(sed -n 's/^StateDirectory=//p' $unit)
  command=$(sed -n 's/^ExecStart=//p' $unit)
  mkdir -p "$data" && chown "$user:" "$data"
  setsid unshare --mount sh -c '
    mkdir -p /run/jail
    mount --bind / /run/jail && mount -o remount,bind,ro /run/jail
    mount --rbind /proc /run/jail/proc && mount --bind /dev /run/jail/dev
    mount --bind "$2" "/run/jail$2"
    mount -t tmpfs -o mode=1777 tmpfs /run/jail/tmp
    cd /
    exec chroot /run/jail setpriv --reuid="$1" --regid="$1" --clear-groups --no-new-privs \\
      --bounding-set=-all,+net_bind_service --inh-caps=-all,+net_bind_service --ambient-caps=-all,+net_bind_service $3
  ' sh "$user" "$data" "$command" >>/var/log/registry-cache-service 2>&1 </dev/null &
  echo $! >$state.pid
}
case $1 in
  daemon-reload | enable) ;;
  disable) stop ;;
  restart) stop; start ;;
  is-active) runs ;;
  is-failed) [ -f $state.pid ] && ! runs ;;
  status) runs && echo "active, process $(pid)" ;;
  *) echo "what is $1?" >&2; exit 1 ;;
esac
`;

export interface Machine {
  /** Runs a command there, as root. */
  run(...command: readonly string[]): Promise<string>;
  /** Puts a file there. */
  write(file: string, text: string, mode?: string): Promise<void>;
}

/** The process that stays where everything is prepared; none before. */
async function sleeper(parent: number): Promise<string> {
  try {
    const child = (await readFile(`/proc/${parent}/task/${parent}/children`, "utf8")).trim();
    return (await readFile(`/proc/${child}/comm`, "utf8")).trim() === "sleep" ? child : "";
  } catch {
    return "";
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export async function startMachine(world: World): Promise<Machine> {
  const where = await world.folder("machine");
  await writeFile(path.join(where, "systemctl"), SYSTEMCTL, { mode: 0o755 });
  const needed = await Promise.all(
    ["node_modules", ".node"].map((name) => realpath(path.join(CHECKOUT, name)).catch(() => undefined)),
  );
  const all = [
    ...needed.filter((one) => one !== undefined),
    path.dirname(path.dirname(await realpath(process.execPath))),
  ];
  const inside = ["sh", "-c", SETUP, "machine", where, CHECKOUT, ...all];
  // It takes no notice of SIGTERM.
  const isolated = [
    toolPath("setpriv"),
    "--pdeathsig",
    "KILL",
    toolPath("unshare"),
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    ...inside,
  ];
  let first = "";
  // It is waited for below, where it can be seen.
  const daemon = await world.runner.start("machine", isolated, { ready: () => Promise.resolve(true) });
  world.onEnd(() => daemon.kill());
  await patiently(async () => {
    first = await sleeper(daemon.pid);
    return first !== "" || !isRunning(daemon.pid);
  });
  if (first === "") throw new Error(await readFile(daemon.log, "utf8"));
  const enter = ["nsenter", "--target", first, "--mount", "--pid", "--root", "sh", "-c", 'cd / && exec "$@"', "sh"];
  return {
    run: async (...command) => await world.runner.run([...enter, ...command]),
    write: async (file, text, mode = "644") => {
      execFileSync("nsenter", [...enter.slice(1), "sh", "-c", 'cat >"$1" && chmod "$2" "$1"', "sh", file, mode], {
        input: text,
      });
    },
  };
}
