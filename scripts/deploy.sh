#!/bin/sh
# make install | status | logs | upgrade | uninstall | destroy: Registry Cache as a service of this machine, from this checkout.
#
#   METHOD=compose|systemd   how; otherwise the way it is installed already, else Compose where Docker can build, else systemd
#   FORCE=1                  overwrite an installed configuration that was changed there (a copy is kept)
#   YES=1                    destroy without asking
#   ARGS="--follow"          for logs
#   DESTDIR=FOLDER           with systemd: put the files there and start nothing, as for a package
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
root=${here%/scripts}
verb=${1-}
case $verb in
  install | status | logs | upgrade | uninstall | destroy) ;;
  *)
    printf 'error: no such verb: %s\nhint: one of install, status, logs, upgrade, uninstall, destroy\n' "$verb" >&2
    exit 2
    ;;
esac

node=$("$here/node.sh") || {
  printf 'error: no Node.js that is new enough\nhint: run `make setup`\n' >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
mkdir "$work/empty"

# Gives a file to somebody; nothing where it is to stay whose it is.
give() { if [ -n "$2" ]; then chown "$2" "$1" && case $2 in root:*) chmod g+r "$1" ;; esac; fi; }

# shellcheck source=scripts/deploy/common.sh
. "$here/deploy/common.sh"
# shellcheck source=scripts/deploy/compose.sh
. "$here/deploy/compose.sh"
# shellcheck source=scripts/deploy/systemd.sh
. "$here/deploy/systemd.sh"

# Sets method and why.
choose() {
  why='METHOD says so'
  case ${METHOD-} in
    compose)
      method=compose
      compose_runs || fail "$compose_lacks" "$compose_needs; or METHOD=systemd"
      return 0
      ;;
    systemd) method=systemd && return 0 ;;
    ?*) fail "METHOD=$METHOD is not known" "write METHOD=compose or METHOD=systemd" ;;
  esac
  why='it is installed so'
  if systemd_is_installed; then method=systemd && return 0; fi
  if compose_is_installed; then method=compose && return 0; fi
  case $verb in
    uninstall | destroy)
      why='there is something of it'
      if systemd_left_something; then method=systemd && return 0; fi
      ;;
  esac
  if [ "$verb" != install ]; then
    if [ -f "$root/etc/.installed" ]; then fail "it is installed with Compose, and $compose_lacks" "$compose_needs"; fi
    fail "it is not installed, or not from this checkout" "make install"
  fi
  if compose_runs && compose_builds; then
    method=compose
    why='Docker runs here'
  elif systemd_runs; then
    method=systemd
    why="systemd runs here ($compose_lacks)"
  else
    fail "neither a service of Compose nor one of systemd can be made here: $compose_lacks, and systemd does not run" \
      "for Compose, $compose_needs; for systemd, a machine that was started with it; make start runs it in a terminal"
  fi
}

choose
case $verb in
  install | upgrade) say "$verb with $method, since $why" ;;
esac
"${method}_${verb}"
