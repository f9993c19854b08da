#!/bin/sh
# Compiles src/ to dist/, which is what the npm package ships: Node.js strips no types under node_modules.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
cd "${here%/scripts}"

rm -rf dist
"$here/with-node.sh" tsc -p tsconfig.build.json
chmod +x dist/main.js
