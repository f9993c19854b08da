# Every file that is touched has a slot, a number: N.now is what lies there, N.orig what that is without us, N.new what is wanted; where
# there is no such file, there is nothing to compare with. All are copies, with owner, mode and time: nothing is written before all
# of them are done.

# assert_ours PATH: run by root, nothing is written where somebody else could put a link in the way. Each folder above counts, as far
# as there are any, and the file itself where it is a link.
assert_ours() {
  if [ -n "$root" ] || [ "$(id -u)" != 0 ]; then return 0; fi
  of=$1
  while [ "$of" != / ] && [ "$of" != . ]; do
    if [ -d "$of" ] || [ -L "$of" ]; then
      # shellcheck disable=SC2012 # nothing is read but the owner, which no other command of POSIX prints
      owner=$(ls -ldn "$of" | awk '{ print $3 }')
      [ "$owner" = 0 ] || fail "$of belongs to somebody else, who could lead what root writes astray" "run this as that user, or in a folder of root's"
    fi
    of=$(dirname "$of")
  done
}

# Sets $real to the file behind a path: where that is a link, the link stays and what it leads to is written.
real_of() {
  real=$root$1
  assert_ours "$real"
  if [ -L "$real" ]; then
    real=$(readlink -f "$root$1" 2>/dev/null || true)
    [ -n "$real" ] || fail "$root$1 is a link that leads nowhere" "take it away, or make what it leads to"
  fi
  [ -z "$root" ] || assert_inside "$1"
}

# An absolute link in an image means a place in the image, not in this host.
assert_inside() {
  above=$(dirname "$real")
  while [ ! -d "$above" ]; do above=$(dirname "$above"); done
  case $(cd "$above" && pwd -P)/ in
    "$(cd "$root" && pwd -P)"/*) ;;
    *) fail "$root$1 leads out of $root by a link" "make the link relative" ;;
  esac
}

# Sets $slot to the one of the file $1, a path without $root.
slot_of() {
  slot=0
  while read -r known <&7; do
    slot=$((slot + 1))
    if [ "$known" = "$1" ]; then return 0; fi
  done 7<"$work/paths"
  slot=$((slot + 1))
  printf '%s\n' "$1" >>"$work/paths"
  # Printed is what has to be there, not what is there besides.
  if [ "$mode" = print ]; then return 0; fi
  real_of "$1"
  if [ -f "$real" ]; then
    for copy in now orig new; do
      cp -p "$real" "$work/$slot.$copy" || fail "$root$1 cannot be read" "run this with sudo"
    done
  elif [ -e "$real" ]; then
    fail "$root$1 is no file" "move it away"
  fi
}

# In one word.
sum_of() { cksum <"$1" | { read -r sum bytes && printf '%s\n' "$sum-$bytes"; }; }

same_text() {
  if command -v cmp >/dev/null 2>&1; then cmp -s "$1" "$2"; else [ "$(sum_of "$1")" = "$(sum_of "$2")" ]; fi
}

# Takes back, in the copies, what earlier runs have written.
recall() {
  [ ! -d "$state" ] || [ -x "$state" ] || fail "$state can only be read by root" "run this with sudo"
  [ -f "$state/files" ] || return 0
  while read -r kind sums number path <&3; do
    [ "$kind" != folder ] || continue
    slot_of "$path"
    current=none
    if [ -f "$work/$slot.now" ]; then current=$(sum_of "$work/$slot.now"); fi
    case ",$sums,$(sum_before)," in
      *",$current,"*) as_before ;;
      *)
        if [ "$current" != none ] && [ -f "$state/$number.edits" ]; then
          without_edits
        elif [ "$replace" = yes ]; then
          as_before
        else
          fail "$root$path was changed since this has written it" "--replace loses that change"
        fi
        ;;
    esac
  done 3<"$state/files"
}

# What is there where this was cut off before it has written, or somebody was faster in undoing.
sum_before() { if [ "$kind" = created ]; then echo none; else sum_of "$state/$number.before"; fi; }

as_before() {
  rm -f "$work/$slot.orig" "$work/$slot.new"
  if [ "$kind" = changed ]; then
    cp -p "$state/$number.before" "$work/$slot.orig"
    cp -p "$state/$number.before" "$work/$slot.new"
  fi
}

# Somebody else has written there too, so that only what is ours goes.
without_edits() {
  while read -r what key owner value <&4; do
    case $what in
      json) json_edit remove "$key" "$value" "$owner" ;;
      toml) without_marks ;;
      block) without_block ;;
    esac
  done 4<"$state/$number.edits"
  cp -p "$work/$slot.new" "$work/$slot.orig"
}

# put MODE: what was prepared becomes what is wanted in the slot. Owner and mode are those of what is there, where MODE is empty.
put() {
  put_mode=$1
  if [ ! -f "$work/$slot.new" ]; then
    : >"$work/$slot.new"
    put_mode=${1:-0644}
  fi
  [ -w "$work/$slot.new" ] || chmod u+w "$work/$slot.new"
  cat "$work/text" >"$work/$slot.new"
  if [ -n "$put_mode" ]; then chmod "$put_mode" "$work/$slot.new"; fi
}

# What this has to take out again by itself, should somebody else write to the file meanwhile.
edits() { { text_of "$*" && echo; } >>"$work/$slot.edits"; }

# own PATH MODE: a file that is ours alone; its text comes by standard input.
own() {
  path=$(printf '%s\n' "$1" | filled)
  filled >"$work/text"
  # All of it was for somebody with a password, say.
  [ -s "$work/text" ] || return 0
  slot_of "$path"
  if [ -f "$work/$slot.orig" ] && [ "$replace" = no ] && ! same_text "$work/$slot.orig" "$work/text" &&
    ! head -n 1 "$work/$slot.orig" | grep -q 'registry-cache'; then
    fail "$root$path is there already, and is somebody else's" "${merge_hint:---diff --replace shows what would change; --replace puts it away, --undo brings it back}"
  fi
  put "$2"
}

# own_key PATH, own_cert PATH: the client certificate's two files, where there are any.
own_cert() { [ -z "$client_cert" ] || as_given "$1" 0644 "$client_cert"; }
own_key() { [ -z "$client_key" ] || as_given "$1" 0600 "$client_key"; }

# As `own`, of a text that has nothing to be filled in, and no first line that says whose it is.
as_given() {
  path=$(printf '%s\n' "$1" | filled)
  { text_of "$3" && echo; } >"$work/text"
  slot_of "$path"
  if [ -f "$work/$slot.orig" ] && [ "$replace" = no ] && ! same_text "$work/$slot.orig" "$work/text"; then
    fail "$root$path is there already, and is another one" "--replace puts it away, --undo brings it back"
  fi
  put "$2"
}
