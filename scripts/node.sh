#!/bin/sh
# Prints the path of the Node.js that this checkout runs with: the system's where it is new enough, else the one
# that scripts/setup.sh fetched into .node/. Fetches nothing itself. Exit code 1 and no output: there is none.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
fetched=${here%/scripts}/.node/bin/node

# Says whether a Node.js fulfils package.json's `engines`: ^24.15.0 || >=26.0.0.
suits() {
  version=$("$1" --version 2>/dev/null) || return 1
  version=${version#v}
  major=${version%%.*}
  rest=${version#*.}
  minor=${rest%%.*}
  case "$major$minor" in
    '' | *[!0-9]*) return 1 ;;
  esac
  [ "$major" -ge 26 ] || { [ "$major" -eq 24 ] && [ "$minor" -ge 15 ]; }
}

system=$(command -v node || true)
for candidate in "$system" "$fetched"; do
  if [ -n "$candidate" ] && suits "$candidate"; then
    printf '%s\n' "$candidate"
    exit 0
  fi
done
exit 1
