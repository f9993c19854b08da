#!/bin/sh
# Runs the installed Registry Cache, for systemd and for people alike: /usr/local/bin/registry-cache leads here.
set -eu

self=$0
while [ -L "$self" ]; do
  target=$(readlink -- "$self")
  case $target in
    /*) self=$target ;;
    *) self=$(dirname -- "$self")/$target ;;
  esac
done
root=$(CDPATH='' cd -- "$(dirname -- "$self")/.." && pwd -P)

# As bin/registry-cache of a checkout: fewer arenas, no core dumps, a small young generation.
MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-2}
REGISTRY_CACHE_DATA_DIR=${REGISTRY_CACHE_DATA_DIR:-/var/lib/registry-cache}
export MALLOC_ARENA_MAX REGISTRY_CACHE_DATA_DIR
# Whatever folder it is called from, it is the installed configuration that counts.
if [ -z "${REGISTRY_CACHE_CONFIG-}" ] && [ -f /etc/registry-cache/registry-cache.yaml ]; then
  REGISTRY_CACHE_CONFIG=/etc/registry-cache/registry-cache.yaml
  export REGISTRY_CACHE_CONFIG
fi
# shellcheck disable=SC3045
ulimit -c 0 2>/dev/null || :
exec "$root/bin/node" --max-semi-space-size=8 "$root/dist/main.js" "$@"
