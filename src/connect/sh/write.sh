# What changes, changing it, and undoing it. Whatever ends a run, at whatever moment, the next one knows all that was written: what is
# about to be is noted first, beside what was there.

# shellcheck disable=SC2012 # nothing is read but modes and owners, which no other command of POSIX prints
mode_of() { ls -ldn "$1" | awk '{ print substr($1, 1, 10), $3, $4 }'; }

# is_same NUMBER PATH; sets $real.
is_same() {
  real_of "$2"
  if [ ! -f "$work/$1.new" ]; then [ ! -e "$real" ]; else
    [ -f "$real" ] && same_text "$work/$1.new" "$real" && [ "$(mode_of "$work/$1.new")" = "$(mode_of "$real")" ]
  fi
}

show() {
  if [ "$mode" = undo ]; then
    if [ -f "$work/$1.new" ]; then note "$2: as it was before"; else note "$2: removed"; fi
    return 0
  fi
  old=$work/$1.now new=$work/$1.new
  [ -f "$old" ] || old=/dev/null
  [ -f "$new" ] || new=/dev/null
  if [ "$old" != /dev/null ] && [ "$new" != /dev/null ] && same_text "$old" "$new"; then
    note "$2: $(mode_of "$old") becomes $(mode_of "$new")"
  elif is_pem 'PRIVATE KEY' || is_pem CERTIFICATE; then
    show_pem "$2"
  elif command -v diff >/dev/null 2>&1; then
    # The names in a diff are of copies.
    { diff -u "$old" "$new" || true; } | RC_path=$2 awk -v old="$old" -v new="$new" '
      NR == 1 { print "--- " (old == "/dev/null" ? old : ENVIRON["RC_path"]); next }
      NR == 2 { print "+++ " (new == "/dev/null" ? new : ENVIRON["RC_path"]); next }
      { print }' | masked
  elif [ "$new" = /dev/null ]; then
    note "$2 is removed"
  else
    note "$2 becomes:"
    masked <"$new"
  fi
}

# Of a key no line is shown: where only its end differs, nothing in a difference says that it is one. And nobody reads certificates.
is_pem() { grep -q -e "-----BEGIN [A-Z ]*$1-----" "$old" "$new"; }
show_pem() {
  if is_pem 'PRIVATE KEY'; then what=key; else what=certificate; fi
  if [ "$new" = /dev/null ]; then
    note "$1 is removed"
  elif [ "$old" = /dev/null ]; then
    note "$1: new $what"
  else
    note "$1: another $what"
  fi
}

# each FUNCTION: with the number and the path of every file.
each() {
  number=0
  while read -r path <&5; do
    number=$((number + 1))
    "$1" "$number" "$path"
  done 5<"$work/paths"
}

# Says what changes; $changes counts.
compare() {
  changes=0
  : >"$work/changed"
  each compare_one
  if [ "$changes" = 0 ] || [ "$is_shown" = yes ] || [ "$mode" = undo ]; then return 0; fi
  # Last, since what is above it may be longer than a screen.
  note "$(counted_files "$changes"):"
  RC_root=$root awk '{ print "  " ENVIRON["RC_root"] $0 }' "$work/changed"
}
counted_files() { if [ "$1" = 1 ]; then note '1 file changes'; else note "$1 files change"; fi; }
compare_one() {
  if is_same "$1" "$2"; then return 0; fi
  changes=$((changes + 1))
  printf '%s\n' "$2" >>"$work/changed"
  : >"$work/$1.changes"
  [ "$is_shown" = yes ] || show "$1" "$root$2"
}

print_one() {
  [ -f "$work/$1.new" ] || return 0
  note "# $2"
  cat "$work/$1.new"
  # Its last line may have no end.
  if [ -n "$(tail -c 1 "$work/$1.new")" ]; then note; fi
  note
}

# Folders that a file needs and that are not there: they go with what they were made for.
folders_above() {
  above=$(dirname "$1")
  while [ ! -d "$above" ]; do
    printf '%s\n' "${above#"$root"}" >>"$work/folders"
    above=$(dirname "$above")
  done
}

remove_folders() {
  [ ! -f "$work/folders" ] || sort -ru "$work/folders" >"$work/deepest-first"
  [ ! -f "$work/deepest-first" ] || while read -r above <&6; do
    # What somebody else has put into one keeps it.
    rmdir "$root$above" 2>/dev/null || true
  done 6<"$work/deepest-first"
}

# The link says whose run it is.
# shellcheck disable=SC2012
locked_by() { ls -l "$1" 2>/dev/null | sed -n 's/.* -> //p'; }

# One run at a time, for all clients: they share folders.
lock() {
  assert_ours "$state_base/lock"
  folders_above "$state_base/lock"
  (umask 022 && mkdir -p "$state_base" 2>/dev/null) || fail "$state_base cannot be made" "what is to be undone is noted there; run this as root, or with --user"
  lock=$state_base/lock
  tries=0
  until ln -s $$ "$lock" 2>/dev/null; do
    other=$(locked_by "$lock")
    if [ -n "$other" ] && ! kill -0 "$other" 2>/dev/null; then
      # It has died. Somebody else may see that too, and be in first.
      mv "$lock" "$lock.$$" 2>/dev/null || continue
      if [ "$(locked_by "$lock.$$")" = "$other" ]; then rm -f "$lock.$$"; else mv "$lock.$$" "$lock"; fi
      continue
    fi
    tries=$((tries + 1))
    [ "$tries" -le 20 ] || fail "another run of such a script does not end, or $state_base cannot be written" "its process is ${other:-unknown}; where that is something else, remove $lock"
    sleep 1
  done
  is_locked=yes
  # The last one to go takes them along. Several may have been at it at once.
  if [ -f "$work/folders" ]; then
    cat "$work/folders" >>"$state_base/folders"
    rm -f "$work/folders"
  fi
  # Where a run ended between two names.
  if [ ! -d "$state" ] && [ -d "$state.old" ]; then mv "$state.old" "$state"; fi
  rm -rf "$state.old" "$state.new" "$state.gone"
}

# Whatever ends this.
clean() {
  if [ "$is_locked" = yes ]; then
    (each drop_staged) 2>/dev/null || true
    remove_folders
    rm -rf "$state.new"
    rm -f "$lock"
    if [ "$(ls -A "$state_base")" = folders ]; then
      mv "$state_base/folders" "$work/folders"
      remove_folders
    fi
    rmdir "$state_base" 2>/dev/null || true
  fi
  rm -rf "$work"
}
drop_staged() {
  real_of "$2"
  rm -f "$real.registry-cache-new"
}

# Writes down what is to be undone; fails where that is not possible. During the change what is there may be what earlier runs have
# written, and what those alone have written may still be there: `remember all` notes that too.
remember() {
  rm -rf "$work/state" && mkdir "$work/state"
  : >"$work/state/files"
  is_all=${1:-}
  each remember_one
  if [ -n "$is_all" ]; then
    if [ -f "$state/files" ]; then sed -n 's/^folder - - //p' "$state/files" >>"$work/folders"; fi
  fi
  [ ! -f "$work/folders" ] || sort -u "$work/folders" | sed 's/^/folder - - /' >>"$work/state/files"
  if [ -n "$restart_command" ]; then printf '%s\n%s\n' "$restart_command" "$restart_only_for" >"$work/state/restart"; fi
  # Backups keep their owners and times.
  mkdir -m 0700 "$state.new" || return 1
  cp -p "$work"/state/* "$state.new/" || return 1
  if [ -d "$state" ]; then mv "$state" "$state.old"; fi
  mv "$state.new" "$state"
}
remember_one() {
  sums=none
  if [ -f "$work/$1.new" ]; then sums=$(sum_of "$work/$1.new"); fi
  if [ -n "$is_all" ] && [ -f "$work/$1.now" ]; then sums=$sums,$(sum_of "$work/$1.now"); fi
  if [ -f "$work/$1.orig" ]; then
    if [ -z "$is_all" ] && [ -f "$work/$1.new" ] && same_text "$work/$1.orig" "$work/$1.new" &&
      [ "$(mode_of "$work/$1.orig")" = "$(mode_of "$work/$1.new")" ]; then return 0; fi
    cp -p "$work/$1.orig" "$work/state/$1.before"
    kind=changed
  elif [ -f "$work/$1.new" ] || { [ -n "$is_all" ] && [ -f "$work/$1.now" ]; }; then
    kind=created
  else
    return 0
  fi
  if [ -f "$work/$1.edits" ]; then cp "$work/$1.edits" "$work/state/$1.edits"; fi
  printf '%s %s %s %s\n' "$kind" "$sums" "$1" "$2" >>"$work/state/files"
  real_of "$2"
  folders_above "$real"
}

# All new texts lie beside their files before the first one is put in its place: what fails, fails before anything has changed.
write_all() {
  each stage
  each place
}
stage() {
  [ -f "$work/$1.changes" ] || return 0
  real_of "$2"
  if [ ! -f "$work/$1.new" ]; then
    [ -w "$(dirname "$real")" ] || give_up "$real cannot be removed"
    return 0
  fi
  # It is settings that everybody may read, whatever this user's umask.
  (umask 022 && mkdir -p "$(dirname "$real")") || give_up "$(dirname "$real") cannot be made"
  rm -f "$real.registry-cache-new" || give_up "$real cannot be written"
  # Owner and times are those of the file before, where it is put back.
  cp -p "$work/$1.new" "$real.registry-cache-new" || give_up "$real cannot be written"
}
place() {
  [ -f "$work/$1.changes" ] || return 0
  real_of "$2"
  if [ -f "$work/$1.new" ]; then
    mv -f "$real.registry-cache-new" "$real" 2>/dev/null || overwrite || fail "$real cannot be replaced" "some files are written, others are not: run this again, or with --undo"
  else
    rm -f "$real" || fail "$real cannot be removed" "run this again"
  fi
}

# A file that is mounted by itself, as in a container, cannot be replaced.
overwrite() {
  grep -q -s -F -- " $real " /proc/self/mountinfo || return 1
  cat "$real.registry-cache-new" >"$real" && touch -r "$real.registry-cache-new" "$real" && rm -f "$real.registry-cache-new"
}

# What is noted is again what is there: all as it was before this run.
give_up() {
  if [ "$mode" != undo ]; then
    rm -rf "$state"
    if [ -d "$state.old" ]; then mv "$state.old" "$state"; fi
  fi
  fail "$1" "nothing was changed; is there space, and may it be written to?"
}

apply_all() {
  remember all || fail "what is to be undone cannot be noted in $state_base" "nothing was changed; is there space, and may it be written to?"
  write_all
  # From here on nobody goes back to what earlier runs have noted.
  rm -rf "$state.old"
  remove_folders
  # A second time, for what those had written is gone now. The first one does as well.
  remember || true
  rm -rf "$state.old"
}

undo_all() {
  write_all
  sed -n 's/^folder - - //p' "$state/files" >>"$work/folders"
  remove_folders
  mv "$state" "$state.gone"
  rm -rf "$state.gone"
}
