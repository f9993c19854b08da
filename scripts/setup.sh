#!/bin/sh
# Makes a checkout ready to run: a fitting Node.js and the dependencies that package-lock.json names. Does nothing,
# in a fraction of a second, where both are there already.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=${here%/scripts}
cd "$root"

"$here/node.sh" >/dev/null || "$here/get-node.sh"

# The stamp is written last, and `npm ci` begins by emptying node_modules: an interrupted installation has none.
stamp=node_modules/.installed-package-lock.json
if ! cmp -s package-lock.json "$stamp"; then
  "$here/with-node.sh" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error || {
    printf 'error: the dependencies could not be installed\nhint: see npm'"'"'s message above; does npm reach its registry? (npm ping)\n' >&2
    exit 1
  }
  cp package-lock.json "$stamp"
fi
