#!/bin/sh
# Runs a command with this checkout's Node.js and the tools of its dependencies first in PATH.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
node=$("$here/node.sh") || {
  printf 'error: no Node.js that is new enough (^24.15 or >=26)\nhint: run `make setup`\n' >&2
  exit 1
}
PATH=$(dirname -- "$node"):${here%/scripts}/node_modules/.bin:$PATH
export PATH
exec "$@"
