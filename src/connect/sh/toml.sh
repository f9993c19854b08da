# Settings in TOML files of others, by whole lines: each of ours is marked, or stands between two marks.

BLOCK_BEGIN='# >>> registry-cache (written by its script, whose --undo removes it)'
BLOCK_END='# <<< registry-cache'
MARK='# registry-cache'

without_block() {
  awk -v begin="$BLOCK_BEGIN" -v end="$BLOCK_END" '
    { line = $0; sub(/\r$/, "", line) }
    line == begin { skip = 1 }
    !skip { print }
    line == end { skip = 0 }' "$work/$slot.new" >"$work/text"
  put ''
}

# A line that took the place of another one names it.
without_marks() {
  awk -v mark="  $MARK" '
    (at = index($0, mark)) == 0 { print; next }
    { was = substr($0, at + length(mark)); if (sub(/^ \(was: /, "", was) && sub(/\)\r?$/, "", was)) print was }' "$work/$slot.new" >"$work/text"
  put ''
}

# block PATH: tables at the end of a TOML file; none of them may be there already.
block() {
  path=$(printf '%s\n' "$1" | filled)
  filled >"$work/block"
  slot_of "$path"
  : >"$work/text"
  if [ -f "$work/$slot.new" ]; then
    without_block
    plain_toml <"$work/$slot.new" >"$work/tables"
    table=$(plain_toml <"$work/block" | grep -x -F -f "$work/tables" | head -n 1 || true)
    if [ -n "$table" ]; then
      fail "$root$path has a table $table already" "merge it by hand with what --print shows, or remove it there"
    fi
    cat "$work/$slot.new" >"$work/text"
    # The last line may lack its end.
    if [ -s "$work/text" ] && [ -n "$(tail -c 1 "$work/text")" ]; then echo >>"$work/text"; fi
  fi
  {
    printf '%s\n' "$BLOCK_BEGIN"
    cat "$work/block"
    printf '%s\n' "$BLOCK_END"
  } >>"$work/text"
  put ''
  edits block
}

# Headers of single tables in one form: no blanks, one kind of quotes, no comment behind them.
plain_toml() {
  tr -d '\r' | sed -n 's/^[[:space:]]*\(\[[^[].*\]\)[[:space:]]*\(#.*\)\{0,1\}$/\1/p' | tr -d ' \t' | tr "'" '"' |
    sed 's/"\([A-Za-z0-9_-]*\)"/\1/g'
}

# toml_key PATH TABLE KEY VALUE FIRST: a key of a table; one that is there and empty gets the value, one with another value stays.
# A new file begins with the line FIRST.
toml_key() {
  path=$(printf '%s\n' "$1" | filled)
  value=$(printf '%s\n' "$4" | filled)
  slot_of "$path"
  if [ -f "$work/$slot.new" ]; then cat "$work/$slot.new" >"$work/toml"; else printf '%s\n' "$5" >"$work/toml"; fi
  awk -v table="$2" -v key="$3" -v value="$value" -v mark="  $MARK" '
    function flat(line) {
      gsub(/\047/, "\"", line); sub(/^[ \t]+/, "", line); sub(/[ \t]*#[^"]*$/, "", line); sub(/[ \t\r]+$/, "", line)
      gsub(/[ \t]/, "", line)
      return line
    }
    { lines[NR] = $0; shape = flat($0) }
    shape ~ /^\[/ { here = (shape == "[" table "]"); if (here) header = NR }
    here && index(shape, key "=") == 1 { found = NR; held = substr(shape, length(key) + 2) }
    END {
      for (i = 1; i <= NR; i++) {
        if (i == found && held == "\"\"") {
          was = lines[i]; sub(/\r$/, "", was); match(was, /^[ \t]*/)
          print substr(was, 1, RLENGTH) key " = " value mark " (was: " was ")"
        } else print lines[i]
        if (i == header && !found) print "  " key " = " value mark
      }
      if (!header) { print "[" table "]" mark; print "  " key " = " value mark }
    }' "$work/toml" >"$work/text"
  put ''
  edits toml
}

# toml_value PATH TABLE KEY: what is there now, without its quotes.
toml_value() {
  slot_of "$1"
  [ -f "$work/$slot.new" ] || return 0
  awk -v table="$2" -v key="$3" '
    { line = $0; sub(/^[ \t]+/, "", line); gsub(/\047/, "\"", line); shape = line; gsub(/[ \t\r]/, "", shape) }
    shape ~ /^\[/ { sub(/#.*/, "", shape); here = (shape == "[" table "]") }
    here && index(shape, key "=") == 1 { sub(/^[^=]*=[ \t]*/, "", line); split(line, parts, "\""); print parts[2]; exit }' "$work/$slot.new"
}

# toml_has PATH TABLE KEY: whether that table has it, or a part of it, in a line.
toml_has() {
  slot_of "$1"
  [ -f "$work/$slot.new" ] || return 1
  awk -v table="$2" -v key="$3" '
    { gsub(/\047/, "\""); gsub(/[ \t\r]/, "") }
    /^\[/ { sub(/#.*/, ""); here = ($0 == "[" table "]") }
    here && (index($0, key "=") == 1 || index($0, key ".") == 1) { found = 1 }
    END { exit !found }' "$work/$slot.new"
}
