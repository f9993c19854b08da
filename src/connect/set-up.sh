# The part of every client's script that does the work. What is to be set up was described before this: `plan` calls `own`,
# `block`, `json_list`, `toml_key` and so on, each of which changes a copy; nothing is written before all of them are done. What
# lies on the host is compared with what is wanted, so that writing twice changes nothing, and undoing is wanting nothing.

# Everything below begins here: for images of hosts, and for tests.
root=${DESTDIR:-}

fail() {
  printf 'error: %s\n' "$1" >&2
  if [ -n "${2:-}" ]; then printf 'hint: %s\n' "$2" >&2; fi
  exit 1
}

note() { printf '%s\n' "$*"; }

usage() {
  cat <<END
Points $client_title on this host at the cache $cache_url

  sh connect-$client.sh             show what changes, and change it
  sh connect-$client.sh --diff      only show it
  sh connect-$client.sh --print     print the settings, for hosts that are set up by other means
  sh connect-$client.sh --undo      put everything back as it was

  --restart       restart or reload $client_title afterwards
  --user          the settings of this user, not those of the host
  --variant NAME  not as was found out: ${variants:-there is only one}
  --replace       also replace settings that somebody else has made

The environment: REGISTRY_CACHE_USER with REGISTRY_CACHE_PASSWORD (or REGISTRY_CACHE_PASSWORD_FILE), for a cache that asks for a
password; REGISTRY_CACHE_CLIENT_CERT and REGISTRY_CACHE_CLIENT_KEY, names of PEM files, for one that asks for certificates;
REGISTRY_CACHE_PATH_TOKEN_FILE, for a secret path.
END
}

# What was asked for ---------------------------------------------------------------------------------------------------------------

options() {
  mode=apply
  is_user=no
  is_shown=no
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
}

places() {
  if [ "$is_user" = yes ]; then
    config=${XDG_CONFIG_HOME:-${HOME:?}/.config}
    state=${XDG_STATE_HOME:-$HOME/.local/state}/registry-cache/connect/$client
    docker=$config/docker containers=$config/containers containerd=$config/containerd buildkit=$config/buildkit rancher=$config/rancher
  else
    state=/var/lib/registry-cache-connect/$client
    docker=/etc/docker containers=/etc/containers containerd=/etc/containerd buildkit=/etc/buildkit rancher=/etc/rancher
  fi
  state=$root$state
  here=$(pwd)
}

# A file named by $1 becomes the value of a variable; the value may also be there already.
read_secret() {
  [ -r "$1" ] || fail "$1 cannot be read" "name a file that $(id -un) may read"
  cat "$1"
}

secrets() {
  user=${REGISTRY_CACHE_USER:-}
  password=${REGISTRY_CACHE_PASSWORD:-}
  if [ -n "${REGISTRY_CACHE_PASSWORD_FILE:-}" ]; then password=$(read_secret "$REGISTRY_CACHE_PASSWORD_FILE"); fi
  path_token=${REGISTRY_CACHE_PATH_TOKEN:-}
  if [ -n "${REGISTRY_CACHE_PATH_TOKEN_FILE:-}" ]; then path_token=$(read_secret "$REGISTRY_CACHE_PATH_TOKEN_FILE"); fi
  client_cert=${REGISTRY_CACHE_CLIENT_CERT_PEM:-}
  if [ -n "${REGISTRY_CACHE_CLIENT_CERT:-}" ]; then client_cert=$(read_secret "$REGISTRY_CACHE_CLIENT_CERT"); fi
  client_key=${REGISTRY_CACHE_CLIENT_KEY_PEM:-}
  if [ -n "${REGISTRY_CACHE_CLIENT_KEY:-}" ]; then client_key=$(read_secret "$REGISTRY_CACHE_CLIENT_KEY"); fi
  case $path_token in *[!A-Za-z0-9_-]*) fail "the secret path's token has characters that do not belong into one" ;; esac
  if [ -n "$client_cert" ] && [ -z "$client_key" ]; then
    fail "a client certificate is of no use without its key" "set REGISTRY_CACHE_CLIENT_KEY to the name of its file"
  fi
  if [ -n "$user" ] && [ -z "$password" ]; then
    fail "there is no password for $user" "set REGISTRY_CACHE_PASSWORD_FILE to the name of a file that has it"
  fi
  basic=
  if [ -n "$user" ]; then basic=$(printf '%s:%s' "$user" "$password" | base64 | tr -d '\n'); fi
}

# What the cache wants to see, and this client can show: words of `anonymous`, `basic`, `mtls` and `path`.
wants() {
  has=
  wanted=
  for way in "$@"; do
    case $way in
      anonymous) has=yes ;;
      basic) if [ -n "$basic" ]; then has=yes; else wanted="$wanted REGISTRY_CACHE_USER and REGISTRY_CACHE_PASSWORD_FILE;"; fi ;;
      mtls) if [ -n "$client_cert" ]; then has=yes; else wanted="$wanted REGISTRY_CACHE_CLIENT_CERT and REGISTRY_CACHE_CLIENT_KEY;"; fi ;;
      path) if [ -n "$path_token" ]; then has=yes; else wanted="$wanted REGISTRY_CACHE_PATH_TOKEN_FILE;"; fi ;;
    esac
  done
  if [ -n "$has" ]; then return 0; fi
  if [ "$mode" = print ]; then
    # Printed is where it belongs.
    case $1 in
      basic) basic=BASE64_OF_USER:PASSWORD user=USER password=PASSWORD ;;
      mtls) client_cert='(the certificate of this client)' client_key='(its key)' ;;
      path) path_token=TOKEN ;;
    esac
  else
    fail "this cache lets nobody in without a name, and nothing was given to show it" "set, of the environment,$wanted see --help"
  fi
}

# Settings by their text ----------------------------------------------------------------------------------------------------------

# Puts folders and secrets into a text. A line that begins with @NAME? is there only where NAME has a value.
filled() {
  RC_basic=$basic RC_path=$path_token RC_mtls=$client_cert RC_user=$user RC_password=$password \
    RC_docker=$docker RC_containers=$containers RC_containerd=$containerd RC_certsd=${certs_d:-$containerd/certs.d} RC_buildkit=$buildkit \
    RC_rancher=$rancher RC_here=$here RC_t=${path_token:+/t/$path_token} awk '
    function named(text, from, to,  at, out) {
      out = ""
      while ((at = index(text, from)) > 0) {
        out = out substr(text, 1, at - 1) to
        text = substr(text, at + length(from))
      }
      return out text
    }
    BEGIN { count = split("docker containers containerd certsd buildkit rancher here basic path user password t", names, " ") }
    {
      if (match($0, /^@[a-z]+\?/)) {
        name = substr($0, 2, RLENGTH - 2)
        if (ENVIRON["RC_" name] == "") next
        $0 = substr($0, RLENGTH + 1)
      }
      for (i = 1; i <= count; i++) $0 = named($0, "@" names[i] "@", ENVIRON["RC_" names[i]])
      print
    }'
}

# For people, without secrets.
masked() {
  RC_1=$basic RC_2=$path_token RC_3=$password awk '
    BEGIN { for (i = 1; i <= 3; i++) if (length(ENVIRON["RC_" i]) > 3) secrets[i] = ENVIRON["RC_" i] }
    /-----BEGIN [A-Z ]*PRIVATE KEY-----/ { print $0; print "********"; isKey = 1 }
    /-----END [A-Z ]*PRIVATE KEY-----/ { isKey = 0 }
    !isKey {
      for (i in secrets) while ((at = index($0, secrets[i])) > 0)
        $0 = substr($0, 1, at - 1) "********" substr($0, at + length(secrets[i]))
      print
    }'
}

# A slot for each file: N.orig is what it was without us, N.new what is wanted; a file that is not there has neither -----------------

path_of() { sed -n "$1p" "$work/paths"; }

# Sets $slot to the one of the file $1, a path without $root.
slot_of() {
  slot=$(grep -n -x -F -- "$1" "$work/paths" | cut -d: -f1)
  [ -z "$slot" ] || return 0
  printf '%s\n' "$1" >>"$work/paths"
  slot=$(grep -c '' "$work/paths")
  # Printed is what has to be there, not what is there besides.
  if [ "$mode" = print ]; then return 0; fi
  if [ -f "$root$1" ]; then
    cp -p "$root$1" "$work/$slot.orig"
    cp -p "$root$1" "$work/$slot.new"
  elif [ -e "$root$1" ]; then
    fail "$root$1 is no file" "move it away"
  fi
}

sum_of() { cksum <"$1" | tr ' ' '-'; }

# Takes back, in the copies, what an earlier run has written.
recall() {
  [ -f "$state/files" ] || return 0
  while read -r kind sum number path; do
    [ "$kind" != folder ] || continue
    slot_of "$path"
    current=none
    if [ -f "$work/$slot.orig" ]; then current=$(sum_of "$work/$slot.orig"); fi
    if [ "$current" = "$sum" ] || { [ "$current" = none ] && [ "$kind" = created ]; }; then
      as_before
    elif [ "$kind" = changed ] && [ -f "$state/$number.before" ] && [ "$current" = "$(sum_of "$state/$number.before")" ]; then
      as_before
    elif [ -f "$state/$number.edits" ]; then
      without_edits
    elif [ "$replace" = yes ]; then
      as_before
    else
      fail "$root$path was changed since this has written it" "--replace loses that change; what was there before is $state/$number.before"
    fi
  done <"$state/files"
}

as_before() {
  if [ "$kind" = created ]; then
    rm -f "$work/$slot.orig" "$work/$slot.new"
  else
    cp -p "$state/$number.before" "$work/$slot.orig"
    cp -p "$state/$number.before" "$work/$slot.new"
  fi
}

# Somebody else has written there too, so that only what is ours goes.
without_edits() {
  without_block "$work/$slot.orig"
  while read -r key value; do json_edit remove "$work/$slot.orig" "$key" "$value"; done <"$state/$number.edits"
  cp -p "$work/$slot.orig" "$work/$slot.new"
}

# own PATH MODE: a file that is ours alone; its text comes by standard input.
own() {
  path=$(printf '%s\n' "$1" | filled)
  filled >"$work/text"
  slot_of "$path"
  if [ -f "$work/$slot.orig" ] && [ "$replace" = no ] && ! cmp -s "$work/$slot.orig" "$work/text" &&
    ! head -n 1 "$work/$slot.orig" | grep -q 'registry-cache'; then
    fail "$root$path is there already, and is somebody else's" "--diff --replace shows what would change; --replace puts it away, --undo brings it back"
  fi
  if [ ! -f "$work/$slot.new" ]; then
    : >"$work/$slot.new"
    chmod "$2" "$work/$slot.new"
  fi
  cat "$work/text" >"$work/$slot.new"
  chmod "$2" "$work/$slot.new"
}

# own_key PATH, own_cert PATH: the client certificate's two files, where there are any.
own_cert() { [ -z "$client_cert" ] || printf '%s\n' "$client_cert" | as_given "$1" 0644; }
own_key() { [ -z "$client_key" ] || printf '%s\n' "$client_key" | as_given "$1" 0600; }

# As `own`, of a text that has nothing to be filled in, and no first line that says whose it is.
as_given() {
  path=$(printf '%s\n' "$1" | filled)
  slot_of "$path"
  cat >"$work/text"
  if [ -f "$work/$slot.orig" ] && [ "$replace" = no ] && ! cmp -s "$work/$slot.orig" "$work/text"; then
    fail "$root$path is there already, and is another one" "--replace puts it away, --undo brings it back"
  fi
  cat "$work/text" >"$work/$slot.new"
  chmod "$2" "$work/$slot.new"
}

BLOCK_BEGIN='# >>> registry-cache (written by its script, whose --undo removes it)'
BLOCK_END='# <<< registry-cache'

without_block() {
  [ -f "$1" ] || return 0
  awk -v begin="$BLOCK_BEGIN" -v end="$BLOCK_END" '$0 == begin { skip = 1 } !skip { print } $0 == end { skip = 0 }' "$1" >"$work/stripped"
  cat "$work/stripped" >"$1"
}

# block PATH: tables at the end of a TOML file; none of them may be there already.
block() {
  path=$(printf '%s\n' "$1" | filled)
  filled >"$work/text"
  slot_of "$path"
  touch "$work/$slot.new" "$work/$slot.edits"
  without_block "$work/$slot.new"
  plain_toml <"$work/$slot.new" >"$work/flat"
  table=$(plain_toml <"$work/text" | grep '^\[' | grep -x -F -f "$work/flat" | head -n 1 || true)
  if [ -n "$table" ]; then
    fail "$root$path has a table $table already" "merge it by hand with what --print shows, or remove it there"
  fi
  # The last line may lack its end.
  if [ -s "$work/$slot.new" ] && [ -n "$(tail -c 1 "$work/$slot.new")" ]; then echo >>"$work/$slot.new"; fi
  {
    printf '%s\n' "$BLOCK_BEGIN"
    cat "$work/text"
    printf '%s\n' "$BLOCK_END"
  } >>"$work/$slot.new"
}

# Headers of tables in one form: no blanks, one kind of quotes, no comment behind them.
plain_toml() {
  sed -n "s/^[[:space:]]*\(\[.*\]\)[[:space:]]*\(#.*\)\{0,1\}\$/\1/p" | tr -d ' \t' | tr "'" '"'
}

# toml_key PATH TABLE KEY VALUE FIRST: a key of a table; one that is there and empty gets the value, one with another value stays.
# A new file begins with the line FIRST.
toml_key() {
  path=$(printf '%s\n' "$1" | filled)
  value=$(printf '%s\n' "$4" | filled)
  slot_of "$path"
  if [ ! -f "$work/$slot.new" ]; then printf '%s\n' "$5" >"$work/$slot.new"; fi
  touch "$work/$slot.edits"
  awk -v table="$2" -v key="$3" -v value="$value" '
    function flat(line) {
      sub(/^[ \t]+/, "", line); sub(/[ \t]*#[^"]*$/, "", line); sub(/[ \t]+$/, "", line)
      gsub(/[ \t]/, "", line); gsub(/\047/, "\"", line)
      return line
    }
    { lines[NR] = $0; shape = flat($0) }
    shape ~ /^\[/ { here = (shape == "[" table "]"); if (here) header = NR }
    here && index(shape, key "=") == 1 { found = NR; held = substr(shape, length(key) + 2) }
    END {
      for (i = 1; i <= NR; i++) {
        if (i == found && held == "\"\"") { match(lines[i], /^[ \t]*/); print substr(lines[i], 1, RLENGTH) key " = " value; continue }
        print lines[i]
        if (i == header && !found) print "  " key " = " value
      }
      if (!header) { if (NR > 0) print ""; print "[" table "]"; print "  " key " = " value }
    }' "$work/$slot.new" >"$work/text"
  cat "$work/text" >"$work/$slot.new"
}

# toml_value PATH TABLE KEY: what is there now, without its quotes.
toml_value() {
  [ -f "$root$1" ] || return 0
  awk -v table="$2" -v key="$3" '
    { line = $0; sub(/^[ \t]+/, "", line); gsub(/\047/, "\"", line); shape = line; gsub(/[ \t]/, "", shape) }
    shape ~ /^\[/ { sub(/#.*/, "", shape); here = (shape == "[" table "]") }
    here && index(shape, key "=") == 1 { sub(/^[^=]*=[ \t]*/, "", line); split(line, parts, "\""); print parts[2]; exit }' "$root$1"
}

# json_list PATH KEY VALUE: a text among a list below a key of a JSON file, the first of it.
json_list() {
  path=$(printf '%s\n' "$1" | filled)
  value=$(printf '%s\n' "$3" | filled)
  slot_of "$path"
  if [ ! -f "$work/$slot.new" ]; then printf '{}\n' >"$work/$slot.new"; fi
  printf '%s %s\n' "$2" "$value" >>"$work/$slot.edits"
  # A token in it makes the file a secret.
  if [ -n "$path_token" ]; then chmod go-rwx "$work/$slot.new"; fi
  json_edit add "$work/$slot.new" "$2" "$value"
}

# Everything else in the file stays as it is, its blanks too; no other program is needed for it.
json_edit() {
  [ -f "$2" ] || return 0
  # Its last line may have no end, and keeps none.
  cut=
  if [ -n "$(tail -c 1 "$2")" ]; then cut=1; fi
  RC_value=$4 awk -v op="$1" -v key="$3" -v cut="$cut" '
    function bad(why) { print why > "/dev/stderr"; failed = 1; exit 3 }
    { text = text $0 "\n" }
    END {
      if (failed) exit 3
      value = ENVIRON["RC_value"]
      item = "\"" value "\""
      size = length(text)
      depth = 0; open = 0; start = 0; isEmpty = 1
      for (i = 1; i <= size; i++) {
        c = substr(text, i, 1)
        if (c ~ /[ \t\r\n]/) continue
        if (depth == 0 && c != "{" ) bad(open ? "has something behind its end" : "is no JSON object")
        if (c == "\"") {
          from = i
          for (i++; i <= size && (c = substr(text, i, 1)) != "\""; i++) if (c == "\\") i++
          if (i > size) bad("has a text without an end")
          if (depth == 1) isEmpty = 0
          word = substr(text, from + 1, i - from - 1)
          rest = substr(text, i + 1)
          sub(/^[ \t\r\n]+/, "", rest)
          if (depth == 1 && substr(rest, 1, 1) == ":" && word == key && !start) awaits = 1
          if (inList && depth == 2 && word == value && !found) { found = from; foundEnd = i }
          if (inList && depth == 2) items++
        } else if (c == "{" || c == "[") {
          if (depth == 0) { if (open) bad("has something behind its end"); open = i }
          depth++
          if (awaits) {
            if (c == "{") bad("has no list below \"" key "\"")
            start = i; inList = 1; awaits = 0
          }
        } else if (c == "}" || c == "]") {
          if (awaits) bad("has no list below \"" key "\"")
          depth--
          if (inList && depth == 1) { inList = 0; stop = i }
        } else if (c == "," && awaits) bad("has no list below \"" key "\"")
        else if (c != ":" && c != ",") { if (awaits) bad("has no list below \"" key "\""); if (inList && depth == 2) items++ }
      }
      if (depth != 0 || !open) bad("is no JSON object")
      if (op == "add") {
        if (found) out = text
        else if (start) out = substr(text, 1, start) item (items > 0 ? ", " : "") substr(text, start + 1)
        else if (isEmpty) out = substr(text, 1, open) "\n  \"" key "\": [" item "]\n" substr(text, open + 1)
        else out = substr(text, 1, open) "\n  \"" key "\": [" item "]," substr(text, open + 1)
      } else if (!found) out = text
      else {
        before = substr(text, 1, found - 1); behind = substr(text, foundEnd + 1)
        if (match(behind, /^[ \t\r\n]*,[ \t\r\n]*/)) behind = substr(behind, RLENGTH + 1)
        else sub(/,[ \t\r\n]*$/, "", before)
        out = before behind
      }
      printf "%s", (cut && substr(out, length(out)) == "\n") ? substr(out, 1, length(out) - 1) : out
    }' "$2" >"$work/text" 2>"$work/why" || fail "$root$path $(cat "$work/why")" "mend it, and run this again"
  cat "$work/text" >"$2"
}

# check COMMAND...: asks the client itself whether a file's new text is right; @new stands for it. Where it is not there, nobody is asked.
check() {
  command -v "$1" >/dev/null 2>&1 || return 0
  program=$1
  shift
  if ! "$program" "$@" >"$work/said" 2>&1; then
    cat "$work/said" >&2
    fail "$program does not take its new settings; nothing was changed" "mend what it says above"
  fi
}

# new_of PATH: the copy with the new text.
new_of() { slot_of "$(printf '%s\n' "$1" | filled)" && printf '%s\n' "$work/$slot.new"; }

# What changes, and changing it ---------------------------------------------------------------------------------------------------

is_same() {
  if [ ! -f "$work/$1.new" ]; then [ ! -e "$2" ]; else
    [ -f "$2" ] && cmp -s "$work/$1.new" "$2" && [ "$(mode_of "$work/$1.new")" = "$(mode_of "$2")" ]
  fi
}

# shellcheck disable=SC2012 # nothing is read but the mode, which no other command of POSIX prints
mode_of() { ls -ld "$1" | cut -c1-10; }

show() {
  if [ "$mode" = undo ]; then
    # What is taken away may have secrets that nobody has told this run of.
    if [ -f "$work/$1.new" ]; then note "$2: as it was before"; else note "$2: removed"; fi
    return 0
  fi
  old=$2
  [ -f "$old" ] || old=/dev/null
  new=$work/$1.new
  [ -f "$new" ] || new=/dev/null
  if [ "$old" != /dev/null ] && [ "$new" != /dev/null ] && cmp -s "$old" "$new"; then
    note "$2: $(mode_of "$old") becomes $(mode_of "$new")"
  elif command -v diff >/dev/null 2>&1; then
    # The names in a diff are of copies.
    diff -u "$old" "$new" | awk -v path="$2" -v old="$old" -v new="$new" '
      NR == 1 { print "--- " (old == "/dev/null" ? old : path); next }
      NR == 2 { print "+++ " (new == "/dev/null" ? new : path); next }
      { print }' | masked
  elif [ "$new" = /dev/null ]; then
    note "$2 is removed"
  else
    note "$2 becomes:"
    masked <"$new"
  fi
}

# Says what changes; $changes counts.
compare() {
  changes=0
  number=0
  while read -r path; do
    number=$((number + 1))
    is_same "$number" "$root$path" && continue
    changes=$((changes + 1))
    printf '%s\n' "$path" >>"$work/changed"
    [ "$is_shown" = yes ] || show "$number" "$root$path"
  done <"$work/paths"
}

print_all() {
  number=0
  while read -r path; do
    number=$((number + 1))
    [ -f "$work/$number.new" ] || continue
    note "# $path"
    cat "$work/$number.new"
    note ""
  done <"$work/paths"
}

# What is to be undone is written down first: whatever ends this, `--undo` knows of it.
remember() {
  mkdir -p "$work/state"
  number=0
  while read -r path; do
    number=$((number + 1))
    if [ -f "$work/$number.orig" ] && [ -f "$work/$number.new" ]; then
      ! is_same "$number" "$work/$number.orig" || continue
      cp -p "$work/$number.orig" "$work/state/$number.before"
      kind=changed
    elif [ -f "$work/$number.new" ]; then
      kind=created
    else
      continue
    fi
    if [ -f "$work/$number.edits" ]; then cp "$work/$number.edits" "$work/state/$number.edits"; fi
    printf '%s %s %s %s\n' "$kind" "$(sum_of "$work/$number.new")" "$number" "$path" >>"$work/state/files"
    folders_above "$root$path"
  done <"$work/paths"
  folders_above "$state"
  if [ -f "$state/files" ]; then grep '^folder ' "$state/files" >>"$work/folders" || true; fi
  if [ -f "$work/folders" ]; then sort -u "$work/folders" >>"$work/state/files"; fi
  if [ -n "$restart_command" ]; then printf '%s\n%s\n' "$restart_command" "$restart_only_for" >"$work/state/restart"; fi
  replaced=$state.old
  rm -rf "$replaced" "$state.new"
  (umask 077 && mkdir -p "$state.new") || fail "$state.new cannot be made" "run this as root, or with --user"
  # Backups keep their owners and times.
  (umask 077 && cp -p "$work"/state/* "$state.new/")
  if [ -d "$state" ]; then mv "$state" "$replaced"; fi
  mv "$state.new" "$state"
  rm -rf "$replaced"
}

folders_above() {
  folder=$(dirname "$1")
  while [ ! -d "$folder" ]; do
    printf 'folder - - %s\n' "${folder#"$root"}" >>"$work/folders"
    folder=$(dirname "$folder")
  done
}

write_all() {
  number=0
  while read -r path; do
    number=$((number + 1))
    is_same "$number" "$root$path" && continue
    if [ ! -f "$work/$number.new" ]; then
      rm -f "$root$path"
      continue
    fi
    mkdir -p "$(dirname "$root$path")"
    # Owner and times are those of the file before, where it was put back.
    cp -p "$work/$number.new" "$root$path.registry-cache-new"
    mv -f "$root$path.registry-cache-new" "$root$path"
  done <"$work/paths"
}

forget() {
  sed -n 's/^folder - - //p' "$state/files" | sort -r >"$work/folders"
  rm -rf "$state"
  # The deepest first; what somebody else has put into one keeps it.
  while read -r folder; do rmdir "$root$folder" 2>/dev/null || true; done <"$work/folders"
  rmdir "$(dirname "$state")" 2>/dev/null || true
}

# service_command VERB SERVICE: what a person types for that here.
service_command() {
  if [ "$is_user" = yes ]; then
    note "systemctl --user $1 $2"
  elif [ -d /run/systemd/system ] || ! command -v service >/dev/null 2>&1; then
    note "systemctl $1 $2"
  else
    note "service $2 $1"
  fi
}

# restarts COMMAND: what makes the client read its settings; empty where it does so by itself.
restarts() {
  if [ -z "$1" ]; then return 0; fi
  if [ -n "$restart_only_for" ] && ! grep -q -x -F -- "$restart_only_for" "$work/changed"; then return 0; fi
  if [ "$restart" = no ]; then
    note "now run:  $1"
  else
    note "running:  $1"
    sh -c "$1" || fail "that failed" "look at what it says above; the settings are written"
  fi
}

assert_root() {
  [ "$is_user" = yes ] || [ -n "$root" ] || [ "$(id -u)" = 0 ] ||
    fail "the settings of a host are its root's" "run this with sudo, or with --user for your own"
}

main() {
  options "$@"
  places
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT HUP TERM
  : >"$work/paths"
  if [ "$mode" = undo ]; then
    [ -f "$state/files" ] || fail "there is nothing to undo for $client_title" "settings that this script has written are noted in $state"
    basic='' path_token='' password='' client_cert='' client_key='' user=''
    recall
    if [ -f "$state/restart" ]; then
      restart_command=$(sed -n 1p "$state/restart")
      restart_only_for=$(sed -n 2p "$state/restart")
    fi
  else
    secrets
    detect
    [ "$mode" = print ] || recall
    plan
  fi
  if [ "$mode" = print ]; then
    print_all
    notes | filled
    return 0
  fi
  [ "$mode" = diff ] || assert_root
  compare
  if [ "$changes" = 0 ]; then
    note "nothing to do: $client_title is set up for $cache_url"
    return 0
  fi
  if [ "$mode" = diff ]; then return 0; fi
  if [ "$mode" = undo ]; then
    write_all
    forget
    note "everything is as it was"
  else
    remember
    write_all
    notes | filled
  fi
  restarts "$restart_command"
}
