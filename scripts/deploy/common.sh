# shellcheck shell=sh
# What both ways of installing share; read by scripts/deploy.sh.

say() { printf '%s\n' "$*"; }

fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

# Whether its only argument is a command.
has() { command -v "$1" >/dev/null 2>&1; }

# The command line of this checkout, in its folder and with its own configuration.
checkout_cache() {
  if [ -f "$root/registry-cache.yaml" ]; then
    (cd "$root" && bin/registry-cache --config registry-cache.yaml "$@")
  else
    # One that is installed on this machine does not count here.
    : >"$work/empty/registry-cache.yaml"
    if [ -f "$root/.env" ]; then cp "$root/.env" "$work/empty/.env"; fi
    (cd "$work/empty" && REGISTRY_CACHE_CONFIG='' "$root/bin/registry-cache" "$@")
  fi
}

# Sets fact_... from the configuration, or ends with what is wrong with it.
read_facts() {
  checkout_cache check --json >"$work/check.json" 2>"$work/check.err" || {
    cat "$work/check.err" >&2
    exit 1
  }
  grep '^warning: ' "$work/check.err" >&2 || :
  "$node" "$root/scripts/deploy/facts.ts" <"$work/check.json" >"$work/facts"
  while read -r fact_name fact_value; do
    case $fact_name in
      listen) fact_listen=$fact_value ;;
      addresses) fact_addresses=$fact_value ;;
      scheme) fact_scheme=$fact_value ;;
      acme_port) fact_acme_port=$fact_value ;;
      data_dir) fact_data_dir=$fact_value ;;
    esac
  done <"$work/facts"
  # The usual one of a checkout is for trying out; what is installed has its usual place too.
  case $fact_data_dir in
    "$root" | "$root"/* | "$work"/*) fact_data_dir= ;;
  esac
}

# The files of the checkout's configuration, one a line, without the folder; those elsewhere with their whole path.
config_files() {
  if [ -f "$root/registry-cache.yaml" ]; then
    checkout_cache check --files | while read -r file; do
      printf '%s\n' "${file#"$root"/}"
    done
  elif [ -f "$root/.env" ]; then
    printf '.env\n'
  fi
}

sum_of() { sha256sum <"$1" | cut -d ' ' -f 1; }

# What was installed as $1 below the folder $2: its sum, or nothing.
installed_sum() {
  [ -f "$2/.installed" ] || return 0
  while read -r was_sum was_name; do
    if [ "$was_name" = "$1" ]; then printf '%s\n' "$was_sum"; fi
  done <"$2/.installed"
}

# Whether somebody has changed the file $1 below the folder $2 since it was installed there.
changed_there() {
  case $1 in /*) return 1 ;; esac
  [ -f "$2/$1" ] || return 1
  now=$(sum_of "$2/$1")
  [ "$now" != "$(sum_of "$root/$1")" ] && [ "$now" != "$(installed_sum "$1" "$2")" ]
}

# Ends where a file in the folder $1 would be lost by installing the configuration there. Writes nothing.
check_config() {
  config_files >"$work/files"
  if [ "${FORCE-}" = 1 ]; then return 0; fi
  while read -r name; do
    if changed_there "$name" "$1"; then
      fail "$1/$name was changed there since it was installed" \
        "take the change over into $root/$name, or run it with FORCE=1, which keeps a copy"
    fi
  done <"$work/files"
}

# Copies the checkout's configuration to the folder $1, whose files get the owner $2 (none where it is empty). Files there that
# somebody has changed since are not overwritten, unless FORCE=1, which keeps a copy. Sets config_changed.
install_config() {
  target=$1
  owner=$2
  config_changed=no
  check_config "$target"
  while read -r name; do
    case $name in
      /*) say "  $name lies outside of the checkout and stays there: the cache's user has to be able to read it" >&2 ;;
    esac
    if changed_there "$name" "$target"; then cp -p "$target/$name" "$target/$name.before-$(date +%Y%m%d%H%M%S)"; fi
  done <"$work/files"
  : >"$work/installed"
  mkdir -p "$target"
  while read -r name; do
    case $name in /*) continue ;; esac
    # A file that is named and not there yet, such as the users' one.
    [ -f "$root/$name" ] || continue
    printf '%s %s\n' "$(sum_of "$root/$name")" "$name" >>"$work/installed"
    mkdir -p "$target/$(dirname -- "$name")"
    if ! cmp -s "$root/$name" "$target/$name"; then
      config_changed=yes
      cp -p "$root/$name" "$target/$name.partial"
      give "$target/$name.partial" "$owner"
      mv -f "$target/$name.partial" "$target/$name"
    else
      give "$target/$name" "$owner"
    fi
  done <"$work/files"
  remove_dropped "$target"
  if [ -s "$work/installed" ] || [ -f "$target/.installed" ]; then
    # Sums of short secrets are nearly as good as those.
    (umask 077 && cp "$work/installed" "$target/.installed")
  fi
  find "$target" -type d | while read -r folder; do
    chmod u=rwx,go=rx "$folder"
    give "$folder" "$owner"
  done
}

# What was installed once and is named no more, unless somebody has changed it.
remove_dropped() {
  [ -f "$1/.installed" ] || return 0
  while read -r was_sum was_name; do
    if grep -q -x -F -- "$was_name" "$work/files" || [ ! -f "$1/$was_name" ]; then continue; fi
    if [ "$(sum_of "$1/$was_name")" = "$was_sum" ]; then
      rm -f "$1/$was_name"
      config_changed=yes
    fi
  done <"$1/.installed"
}

# Removes from the folder $1 what install_config has put there, and the folder where nothing else is in it.
remove_config() {
  if [ -f "$1/.installed" ]; then
    while read -r _ was_name; do rm -f "$1/$was_name"; done <"$1/.installed"
    rm -f "$1/.installed"
  fi
  if [ -d "$1" ]; then find "$1" -depth -type d -empty -delete; fi
}

# The cache's own entries of a data folder that may hold other things as well, such as /data beside the engine's own /data/docker.
remove_data() {
  # Where no cache has ever run, nothing is a cache's.
  [ -f "${1:?}/lock.sqlite" ] || return 0
  rm -rf "$1/docker/registry/v2"
  remove_files "$1/spool" -name 'sha256-*' -o -name 'sha512-*'
  remove_files "$1/acme" -name 'account-*.pem*' -o -name 'certificate*.pem*'
  # A folder for each process that was in the middle of something, with names that are nobody else's.
  if [ -d "$1/unfinished" ]; then
    for of_process in "$1"/unfinished/*; do
      case ${of_process##*/} in *[!0-9]*) ;; *) rm -rf "$of_process" ;; esac
    done
  fi
  remove_files "$1" -name 'catalog.sqlite*' -o -name 'lock.sqlite*' -o -name 'keep-fresh.txt*' -o -name 'scrub.json*' -o -name 'pins.txt*' -o -name token-key -o -name control.sock
  for folder in docker/registry docker spool acme unfinished; do
    rmdir "$1/$folder" 2>/dev/null || :
  done
}

# remove_files FOLDER TEST...: those in it, not below, by find's tests of their names.
remove_files() {
  in_folder=$1
  shift
  if [ -d "$in_folder" ]; then find "$in_folder/" -maxdepth 1 ! -type d \( "$@" \) -exec rm -f {} +; fi
}

# Asks before something is lost for ever. $1: what that is.
confirm() {
  [ "${YES-}" = 1 ] && return 0
  [ -t 0 ] || fail "nobody is here to ask whether to remove $1" "YES=1 means yes"
  printf 'This removes %s for ever.\nType y to go on: ' "$1"
  read -r answer || answer=
  [ "$answer" = y ] || fail "nothing was removed" "answer y to remove it"
}
