# What one run does, from its first to its last step.

# check COMMAND...: asks the client itself whether its new settings are right. Where it is not there, nobody is asked.
check() {
  command -v "$1" >/dev/null 2>&1 || return 0
  # Docker looks for its helpers there, and a shell need not.
  if ! PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" "$@" >"$work/said" 2>&1; then
    masked <"$work/said" >&2
    fail "$1 does not take its new settings; nothing was changed" "mend what it says above, or see --diff"
  fi
}

# new_of PATH: the copy with the new text.
new_of() { slot_of "$(printf '%s\n' "$1" | filled)" && printf '%s\n' "$work/$slot.new"; }

# service_command VERB SERVICE: what a person types for that here.
service_command() {
  if [ "$is_user" = yes ]; then
    note "systemctl --user $1 $2"
  elif [ "$mode" = print ] || [ -d /run/systemd/system ]; then
    # What is printed is for another host.
    note "systemctl $1 $2"
  elif [ "$1 $2" = 'reload docker' ] && [ -f /run/docker.pid ]; then
    # Its init script knows no reload.
    # shellcheck disable=SC2016 # it is for whoever runs it
    note 'kill -HUP "$(cat /run/docker.pid)"'
  elif [ -x "/etc/init.d/$2" ]; then
    note "service $2 restart"
  elif command -v systemctl >/dev/null 2>&1; then
    note "systemctl $1 $2"
  else
    note "$BY_HAND$2"
  fi
}
# Before the name of what is started by something that is not known here.
BY_HAND='#'

is_restart_wanted() {
  [ -n "$restart_command" ] || return 1
  if [ -z "$restart_only_for" ] || grep -q -x -F -- "$restart_only_for" "$work/changed"; then return 0; fi
  # Whoever asks for it may have written that file before, and not have asked for it then.
  [ "$mode" = apply ] && [ "$restart" = yes ] && [ -f "$root$restart_only_for" ]
}

# Where nobody can say, it counts as running.
is_running() {
  case $restart_command in
    'systemctl --user '*) systemctl --user is-active --quiet "${restart_command##* }" 2>/dev/null || [ $? != 3 ] ;;
    "$BY_HAND"docker) [ -f /run/docker.pid ] ;;
    'systemctl '*) systemctl is-active --quiet "${restart_command##* }" 2>/dev/null || [ $? != 3 ] ;;
  esac
}

# What makes the client read its settings; nothing where it does so by itself.
restarts() {
  # Nothing of an image runs.
  if [ -n "$root" ] || ! is_restart_wanted; then return 0; fi
  if [ "$restart" = yes ] && ! is_running; then
    note "it does not run, and reads its settings when it starts"
    return 0
  fi
  if [ -n "$restart_note" ]; then note "$restart_note"; fi
  case $restart_command in "$BY_HAND"*)
    note "now restart ${restart_command#"$BY_HAND"}, in the way it is started here (neither systemd nor an init script is)"
    return 0
    ;;
  esac
  if [ "$restart" = no ]; then
    note "now run:  $restart_command"
  else
    note "running:  $restart_command"
    sh -c "$restart_command" </dev/null || fail "that failed" "look at what it says above; the settings are written"
  fi
}

# What is undone in files is still in use, until the client has read them.
say_undone() {
  if [ -z "$root" ] && is_restart_wanted && is_running; then
    note "the files are as they were; $client_title uses what it has read of them until it reads them again"
  else
    note "everything is as it was"
  fi
}

print_settings() {
  each print_one
  notes | filled
  if [ -z "$restart_command" ]; then return 0; fi
  if [ -z "$restart_only_for" ]; then note "run:   $restart_command"; fi
  if [ -n "$restart_only_for" ] && grep -q -x -F -- "$restart_only_for" "$work/paths"; then
    note "where $restart_only_for has changed, run:   $restart_command"
  fi
}

# Makes $work, which nobody else can look into.
make_work() {
  umask 077
  work=$(mktemp -d 2>/dev/null || true)
  if [ -z "$work" ]; then
    work=${TMPDIR:-/tmp}/registry-cache-connect.$$
    mkdir "$work" || fail "$work cannot be made" "set TMPDIR to a folder with space"
  fi
}

main() {
  options "$@"
  tools
  places
  is_locked=no
  make_work
  trap clean EXIT
  trap 'exit 130' INT HUP TERM PIPE
  : >"$work/paths"
  no_secrets
  case $mode in apply | undo)
    assert_root
    [ "$is_dry" = yes ] || lock
    ;;
  esac
  if [ "$mode" = undo ]; then
    [ -f "$state/files" ] || fail "there is nothing to undo for $client_title" "settings that this script has written are noted in $state"
    recall
    if [ -f "$state/restart" ]; then
      restart_command=$(sed -n 1p "$state/restart")
      restart_only_for=$(sed -n 2p "$state/restart")
    fi
  else
    secrets
    one_line_pems
    detect
    [ "$mode" = print ] || recall
    plan
  fi
  if [ "$mode" = print ]; then
    print_settings
    return 0
  fi
  compare
  if [ "$client" = docker ]; then docker_keeps; fi
  if [ "$is_dry" = yes ] && [ "$mode" = undo ]; then return 0; fi
  if [ "$mode" = undo ]; then
    undo_all
    say_undone
  elif [ ! -s "$work/paths" ]; then
    [ "$is_shown" = yes ] || note "nothing to do: $client_title has no settings of its own"
    notes | filled | masked
    return 0
  elif [ "$changes" = 0 ]; then
    [ "$is_shown" = yes ] || note "nothing to do: $client_title is set up for $cache_url"
    [ "$mode" = apply ] && [ "$restart" = yes ] || return 0
  elif [ "$mode" = diff ]; then
    return 0
  else
    apply_all
    notes | filled | masked
  fi
  restarts
}
