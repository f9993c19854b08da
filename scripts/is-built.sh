#!/bin/sh
# Says by its exit code whether dist/ was built from the sources as they are now.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=${here%/scripts}
built=$root/dist/main.js

[ -f "$built" ] || exit 1
# Folders count too: a file that was removed leaves no other trace.
changed=$(find "$root/src" "$root/package.json" "$root/package-lock.json" "$here/build.ts" "$here/undici-parts.cjs" -newer "$built" | head -n 1)
[ -z "$changed" ]
