# shellcheck shell=sh
# systemd; read by scripts/deploy.sh. With DESTDIR the files are put below that folder, and nothing is started.

PROGRAM=${DESTDIR-}/opt/registry-cache
CONFIG=${DESTDIR-}/etc/registry-cache
UNIT=${DESTDIR-}/etc/systemd/system/registry-cache.service
DROP_IN=$UNIT.d/data.conf
SYSUSERS=${DESTDIR-}/etc/sysusers.d/registry-cache.conf
COMMAND=${DESTDIR-}/usr/local/bin/registry-cache
DATA=${DESTDIR-}/var/lib/registry-cache
SERVICE=registry-cache
READY_SECONDS_MAX=60

systemd_runs() { has systemctl && [ -d /run/systemd/system ]; }

systemd_is_installed() { [ -f "$UNIT" ]; }

# Also where an installation did not come to its end, or only its configuration was kept.
systemd_left_something() {
  [ -f "$UNIT" ] || [ -f "$SYSUSERS" ] || [ -d "$PROGRAM" ] || [ -f "$CONFIG/.installed" ]
}

# On the machine itself, where no package is made below DESTDIR.
live() { [ -z "${DESTDIR-}" ]; }

systemd_need_systemd() {
  if live && ! systemd_runs; then
    fail "this machine was not started with systemd" \
      "METHOD=compose, or make start in a terminal; DESTDIR=FOLDER puts the files there and starts nothing"
  fi
}

systemd_need_root() {
  if live && [ "$(id -u)" != 0 ]; then fail "this needs root" "sudo make $verb"; fi
}

# Folders that are made for one file, if nothing else needs them.
put() {
  mkdir -p "$(dirname -- "$2")"
  if cmp -s "$1" "$2"; then return 1; fi
  install -m "$3" "$1" "$2.partial"
  mv -f "$2.partial" "$2"
}

# The program in a folder of its own, which becomes the current one by one rename. Sets program_changed.
install_program() {
  mkdir -p "$PROGRAM/releases"
  staged=$PROGRAM/releases/.partial.$$
  rm -rf "$PROGRAM"/releases/.partial.*
  mkdir -p "$staged/bin"
  cp -R "$root/dist" "$staged/dist"
  cp "$root/package.json" "$root/LICENSE" "$staged/"
  install -m 755 "$(readlink -f -- "$node")" "$staged/bin/node"
  install -m 755 "$root/deploy/systemd/registry-cache.sh" "$staged/bin/registry-cache"
  if [ -n "$fact_data_dir" ]; then
    sed "s|/var/lib/registry-cache}|$fact_data_dir}|" "$root/deploy/systemd/registry-cache.sh" >"$staged/bin/registry-cache"
  fi
  chmod -R u=rwX,go=rX "$staged"
  program_changed=no
  before=$(readlink -- "$PROGRAM/current" 2>/dev/null || :)
  if [ -n "$before" ] && diff -r "$PROGRAM/$before" "$staged" >/dev/null 2>&1; then
    rm -rf "$staged"
    return 0
  fi
  program_changed=yes
  release=$(date +%Y%m%d%H%M%S)
  while [ -e "$PROGRAM/releases/$release" ]; do release=${release}x; done
  mv "$staged" "$PROGRAM/releases/$release"
  use_release "releases/$release"
}

use_release() {
  # One that was left where this was cut off before would be followed: into the release that it names.
  rm -f "$PROGRAM/current.partial"
  ln -s "$1" "$PROGRAM/current.partial"
  mv -T "$PROGRAM/current.partial" "$PROGRAM/current"
}

# All but the current release and the one before it.
remove_old_releases() {
  for old in "$PROGRAM"/releases/*; do
    case releases/${old##*/} in
      "$(readlink -- "$PROGRAM/current")" | "$before") ;;
      *) rm -rf "$old" ;;
    esac
  done
}

# The unit, and what a data folder of the user's own needs. Sets unit_changed.
install_unit() {
  unit_changed=no
  if put "$root/deploy/systemd/registry-cache.service" "$UNIT" 644; then unit_changed=yes; fi
  put "$root/deploy/systemd/registry-cache.sysusers" "$SYSUSERS" 644 || :
  if [ -n "$fact_data_dir" ]; then
    printf '[Service]\nReadWritePaths=%s\n' "$fact_data_dir" >"$work/data.conf"
    if put "$work/data.conf" "$DROP_IN" 644; then unit_changed=yes; fi
  elif [ -f "$DROP_IN" ]; then
    rm -f "$DROP_IN"
    unit_changed=yes
  fi
  mkdir -p "$(dirname -- "$COMMAND")"
  if [ ! -e "$COMMAND" ] && [ ! -L "$COMMAND" ]; then ln -s /opt/registry-cache/current/bin/registry-cache "$COMMAND"; fi
}

# It becomes part of a unit and of a script, each with quoting of its own.
assert_plain_data_dir() {
  case $fact_data_dir in
    / | *[!A-Za-z0-9/._@+,:=~-]*)
      fail "data_dir: $fact_data_dir cannot be the folder of a systemd service" \
        "a path below / of letters, digits and any of / . _ @ + , : = ~ -"
      ;;
  esac
}

systemd_install() {
  systemd_need_systemd
  systemd_need_root
  read_facts
  assert_plain_data_dir
  if live; then
    mkdir -p "$(dirname -- "$SYSUSERS")"
    cp "$root/deploy/systemd/registry-cache.sysusers" "$SYSUSERS"
    getent passwd "$SERVICE" >/dev/null || systemd-sysusers "$SYSUSERS" || fail "the user $SERVICE could not be made" "see above"
  fi
  install_config "$CONFIG" "$(if live; then printf 'root:%s' "$SERVICE"; fi)"
  if live; then chmod 750 "$CONFIG"; fi
  install_program
  install_unit
  if [ -n "$fact_data_dir" ] && live && [ ! -d "$fact_data_dir" ]; then
    mkdir -p "$fact_data_dir"
    chown "$SERVICE:$SERVICE" "$fact_data_dir"
  fi
  if ! live; then
    mkdir -p "$DATA"
    remove_old_releases
    say "Installed below $DESTDIR; nothing was started."
    return 0
  fi
  systemctl daemon-reload
  systemctl --quiet enable "$SERVICE"
  if [ "$program_changed$unit_changed$config_changed" != nonono ] || ! systemctl --quiet is-active "$SERVICE"; then
    systemctl restart "$SERVICE" || :
  fi
  if systemd_ready; then
    remove_old_releases
    say "Registry Cache runs: $fact_scheme://$fact_listen (make status, make logs)"
    return 0
  fi
  systemd_logs_tail >&2
  go_back
  fail "it did not become ready" "its log is above; journalctl -u $SERVICE has all of it"
}

# To the release before, where there is one that differs.
go_back() {
  if [ -z "$before" ] || [ "$program_changed" = no ]; then return 0; fi
  broken=$(readlink -- "$PROGRAM/current")
  use_release "$before"
  rm -rf "${PROGRAM:?}/$broken"
  systemctl restart "$SERVICE" || :
  if systemd_ready; then fail "the new version did not become ready; the one before it runs again" "its log is above"; fi
}

systemd_ready() {
  waited=0
  while [ "$waited" -lt "$READY_SECONDS_MAX" ]; do
    # Whoever else answers at that port, it is not our service.
    if systemctl --quiet is-active "$SERVICE" && "$COMMAND" health >/dev/null 2>&1; then return 0; fi
    if systemctl --quiet is-failed "$SERVICE"; then return 1; fi
    sleep 1
    waited=$((waited + 1))
  done
  return 1
}

systemd_logs_tail() { journalctl --no-pager --unit "$SERVICE" --lines 20 --output cat 2>/dev/null || :; }

systemd_upgrade() { systemd_install; }

systemd_status() {
  systemd_need_systemd
  systemctl --no-pager status "$SERVICE"
}

systemd_logs() {
  systemd_need_systemd
  # shellcheck disable=SC2086 # several words are meant
  journalctl --no-pager --unit "$SERVICE" --output cat ${ARGS:---lines 100}
}

# All but configuration, data and the user that they belong to.
systemd_remove() {
  if live && systemd_is_installed; then
    if systemd_runs; then
      systemctl --quiet disable --now "$SERVICE" || :
    elif has systemctl; then
      # Nothing runs; what makes it start is taken away all the same.
      systemctl --quiet disable "$SERVICE" 2>/dev/null || :
    fi
  fi
  rm -f "$UNIT" "$DROP_IN"
  if [ -d "$UNIT.d" ]; then rmdir --ignore-fail-on-non-empty "$UNIT.d"; fi
  rm -rf "$PROGRAM"
  case $(readlink -- "$COMMAND" 2>/dev/null || :) in
    /opt/registry-cache/*) rm -f "$COMMAND" ;;
  esac
  if live && systemd_runs; then systemctl daemon-reload; fi
}

systemd_uninstall() {
  systemd_need_root
  systemd_remove
  say "Removed. $CONFIG and the cached images are kept (make destroy removes them too)."
}

systemd_destroy() {
  systemd_need_root
  # A folder of the user's own may hold other things.
  own=$(sed -n 's/^ReadWritePaths=//p' "$DROP_IN" 2>/dev/null || :)
  confirm "all cached images in ${own:-$DATA} and the configuration in $CONFIG"
  systemd_remove
  if [ -n "$own" ]; then remove_data "${DESTDIR-}$own"; fi
  rm -rf "$DATA" "$SYSUSERS"
  remove_config "$CONFIG"
  if live && getent passwd "$SERVICE" >/dev/null; then userdel "$SERVICE" || :; fi
  say "Removed, with all that was cached."
}
