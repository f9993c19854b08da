# What a script was asked for, where settings lie, and what is said to people.

# Everything below begins here: for images of hosts, and for tests.
root=${DESTDIR:-}
# Bytes are bytes, and what programs say is what this knows.
LC_ALL=C
export LC_ALL

fail() {
  printf 'error: %s\n' "$1" >&2
  if [ -n "${2:-}" ]; then printf 'hint: %s\n' "$2" >&2; fi
  exit 1
}

warn() { printf 'warning: %s\n' "$1" >&2; }

note() { printf '%s\n' "$*"; }

usage() {
  cat <<END
Points $client_title on this host at the cache $cache_url

  sh connect-$client.sh             show what changes, and change it
  sh connect-$client.sh --diff      only show it
  sh connect-$client.sh --print     print the settings, for hosts that are set up by other means
  sh connect-$client.sh --undo      put everything back as it was

  --dry-run       with --undo: only show what would be put back
  --restart       restart or reload $client_title afterwards, where it wants that
  --user          the settings of this user, not those of the host
  --variant NAME  not as was found out: ${variants:-there is only one}
  --replace       also replace settings that somebody else has made

The environment: REGISTRY_CACHE_USER with REGISTRY_CACHE_PASSWORD_FILE (or REGISTRY_CACHE_PASSWORD), for a cache that asks for a
password; REGISTRY_CACHE_CLIENT_CERT and REGISTRY_CACHE_CLIENT_KEY, names of PEM files, for one that asks for certificates;
REGISTRY_CACHE_PATH_TOKEN_FILE, for a secret path; DESTDIR, where the host's folders begin.
END
}

options() {
  mode=apply
  is_user=no
  is_shown=no
  is_dry=no
  restart=no
  replace=no
  variant=
  while [ $# -gt 0 ]; do
    case $1 in
      --apply | --diff | --print | --undo) mode=${1#--} ;;
      --restart) restart=yes ;;
      --user) is_user=yes ;;
      --replace) replace=yes ;;
      # Whoever has run --diff before has shown what changes.
      --shown) is_shown=yes ;;
      --dry-run) is_dry=yes ;;
      --variant)
        [ $# -gt 1 ] || fail "--variant wants a name" "one of: $variants"
        variant=$2
        shift
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) fail "unknown option $1" "sh connect-$client.sh --help" ;;
    esac
    shift
  done
  if [ "$is_dry" = yes ] && [ "$mode" = apply ]; then mode='diff'; fi
  # What is for people's own programs, or for a folder, is no affair of the host's root.
  if [ "$scope" = user ]; then is_user=yes; fi
}

places() {
  case $root in
    '' | /*) ;;
    *) root=$(pwd)/$root ;;
  esac
  root=${root%/}
  [ -z "$root" ] || [ -d "$root" ] || fail "DESTDIR is no folder: $root" "make it first"
  if [ "$is_user" = yes ]; then
    home=${HOME:-}
    [ -n "$home" ] || fail "HOME is not set" "it is where a user's settings lie"
    config=${XDG_CONFIG_HOME:-$home/.config}
    state=${XDG_STATE_HOME:-$home/.local/state}/registry-cache/connect/$client
    docker=$config/docker containers=$config/containers containerd=$config/containerd buildkit=$config/buildkit rancher=$config/rancher
  else
    home=${HOME:-/root}
    state=/var/lib/registry-cache-connect/$client
    docker=/etc/docker containers=/etc/containers containerd=/etc/containerd buildkit=/etc/buildkit rancher=/etc/rancher
  fi
  # minikube copies what lies in there into its nodes.
  case ${MINIKUBE_HOME:-$home} in
    */.minikube) minikube=${MINIKUBE_HOME:-}/files ;;
    *) minikube=${MINIKUBE_HOME:-$home}/.minikube/files ;;
  esac
  # A folder of ours beside settings; no registry is called so.
  own=_registry-cache
  state=$root$state
  state_base=$(dirname "$state")
  here=$(pwd)
  if [ "$(printf '%s\n' "$here$root" | grep -c '')" != 1 ]; then
    fail "the name of this folder has a line break in it" "run this in another one"
  fi
}

# Without these nothing can be done, and others are not needed.
tools() {
  for tool in awk cat chmod cksum cp cut dirname grep head id ln ls mkdir mv od rm rmdir sed sleep sort tail tr; do
    command -v "$tool" >/dev/null 2>&1 || fail "this host has no $tool" "install it; awk, sed, diffutils and coreutils (or busybox) are enough"
  done
}

assert_root() {
  [ "$is_user" = yes ] || [ -n "$root" ] || [ "$(id -u)" = 0 ] ||
    fail "the settings of a host are its root's" "run this with sudo, or with --user for your own"
}
