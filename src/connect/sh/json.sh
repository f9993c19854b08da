# A text in a list of a JSON file. Everything else in the file stays as it is, its blanks too; no other program is needed for it.

# json_list PATH KEY VALUE: becomes the first text of the list.
json_list() {
  path=$(printf '%s\n' "$1" | filled)
  value=$(printf '%s\n' "$3" | filled)
  slot_of "$path"
  if [ ! -f "$work/$slot.new" ]; then
    printf '{}\n' >"$work/text"
    put 0644
  fi
  # A token in it makes the file a secret.
  if [ -n "$path_token" ]; then chmod go-rwx "$work/$slot.new"; fi
  json_edit add "$2" "$value" ''
  edits json "$2" "$made" "$value"
}

# json_edit add|remove KEY VALUE MADE: in the slot. Sets $made to `made` where the key was not there before: it goes with its last
# text; to `theirs` where the text was there already, so that it stays.
json_edit() {
  RC_value=$3 awk -v op="$1" -v key="$2" -v made="$4" '
    function bad(why) { print why >"/dev/stderr"; isBad = 1; exit 3 }
    function unreadable(  before) { before = substr(text, 1, at); bad("is no JSON that can be read, at line " gsub(/\n/, "", before) + 1) }
    function skip() { while (at <= size && index(" \t\r\n", substr(text, at, 1)) > 0) at++ }
    function here() { skip(); return substr(text, at, 1) }
    function string(  from, c) {
      from = ++at
      while ((c = substr(text, at, 1)) != "\"") {
        if (c == "" || c < " ") unreadable()
        at += (c == "\\") ? 2 : 1
      }
      at++
      return substr(text, from, at - from - 1)
    }
    function any(depth,  c) {
      c = here()
      if (c == "{") object(depth + 1)
      else if (c == "[") list(0)
      else if (c == "\"") string()
      else if (match(substr(text, at, 400), /^(true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?)/)) at += RLENGTH
      else unreadable()
    }
    function list(isOurs,  from, item) {
      at++
      if (isOurs) opened = at
      if (here() == "]") { at++; return }
      while (1) {
        if (here() != "\"" && isOurs) bad("has something other than texts below \"" key "\"")
        if (isOurs) {
          items++; from = at; item = string()
          if (item == value && !position) { position = items; begins = from; ends = at }
        } else any(2)
        if (here() == "]") { at++; return }
        if (substr(text, at, 1) != ",") unreadable()
        at++
      }
    }
    function object(depth,  name, from) {
      at++
      if (here() == "}") { at++; return }
      while (1) {
        if (here() != "\"") unreadable()
        from = at; name = string()
        if (depth == 1) { members++; if (index(name, "\\") > 0) bad("has a key with a \\ in it") }
        if (here() != ":") unreadable()
        at++
        if (depth == 1 && name == key) {
          if (isThere) bad("has \"" key "\" twice")
          if (here() != "[") bad("has no list below \"" key "\"")
          isThere = 1; memberBegins = from
          list(1)
          memberEnds = at
        } else any(depth)
        if (here() == "}") { at++; return }
        if (substr(text, at, 1) != ",") unreadable()
        at++
      }
    }
    # The comma goes with what is taken out of a sequence, and all blanks around it but those at its begin.
    function cut(from, to,  before, behind) {
      before = substr(text, 1, from - 1); behind = substr(text, to)
      if (match(behind, /^[ \t\r\n]*,[ \t\r\n]*/)) return before substr(behind, RLENGTH + 1)
      if (sub(/,[ \t\r\n]*$/, "", before)) return before behind
      # It was alone.
      sub(/[ \t\r\n]+$/, "", before); sub(/^[ \t\r\n]+/, "", behind)
      return before behind
    }
    { text = text (NR > 1 ? "\n" : "") $0; last = $0 }
    END {
      if (isBad) exit 3
      value = ENVIRON["RC_value"]
      mark = "\357\273\277"
      if (index(text, mark) == 1) text = substr(text, length(mark) + 1); else mark = ""
      if (text ~ /^[ \t\r\n]*$/) text = "{}"
      size = length(text); at = 1
      if (here() != "{") bad("is no JSON object")
      begin = at
      object(1)
      closing = at - 1
      if (here() != "") unreadable()
      newLine = index(text, "\r\n") ? "\r\n" : "\n"
      item = "\"" value "\""
      if (op == "add") {
        isTheirs = position > 0
        if (position != 1) {
          # From where it stands now it goes to the first place.
          if (position) { text = cut(begins, ends); items-- }
          if (isThere) text = substr(text, 1, opened - 1) item (items > 0 ? ", " : "") substr(text, opened)
          else if (members > 0) text = substr(text, 1, begin) newLine "  \"" key "\": [" item "]," substr(text, begin + 1)
          else text = substr(text, 1, begin) newLine "  \"" key "\": [" item "]" newLine substr(text, closing)
        }
        print (isTheirs ? "theirs" : isThere ? "there" : "made") >"/dev/stderr"
      } else if (position && made != "theirs") text = (made == "made" && items == 1) ? cut(memberBegins, memberEnds) : cut(begins, ends)
      printf "%s%s", mark, text
    }' "$work/$slot.new" >"$work/text" 2>"$work/why" || fail "$root$path $(cat "$work/why")" "mend it, and run this again"
  made=$(cat "$work/why")
  # The last line had an end, or had none.
  if [ -z "$(tail -c 1 "$work/$slot.new")" ]; then echo >>"$work/text"; fi
  put ''
}
