#!/bin/sh
# Runs a command with this checkout's Node.js and the tools of its dependencies first in PATH.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
node=$("$here/node.sh") || {
  printf 'error: no Node.js that is new enough (^24.15 or >=26)\nhint: run `make setup`\n' >&2
  exit 1
}
# The system's npm would look for the machine's settings (registry, proxy, authorities) beside our Node.js.
if [ "${1-}" = npm ] && [ -z "${NPM_CONFIG_GLOBALCONFIG-}" ]; then
  NPM_CONFIG_GLOBALCONFIG=$(npm config get globalconfig)
  NPM_CONFIG_UPDATE_NOTIFIER=false
  export NPM_CONFIG_GLOBALCONFIG NPM_CONFIG_UPDATE_NOTIFIER
fi
PATH=$(dirname -- "$node"):${here%/scripts}/node_modules/.bin:$PATH
export PATH
exec "$@"
