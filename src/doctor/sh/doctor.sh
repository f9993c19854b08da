# The part of the script that looks: what is this host's way to the cache, do its clients' settings lead there, were they read, and
# does a pull really come from the cache. The last is never guessed: the cache itself is asked what this host has asked it for.

# Settings are looked for below this: for images of hosts, and for tests.
root=${DESTDIR:-}

fail() {
  printf 'error: %s\n' "$1" >&2
  if [ -n "${2:-}" ]; then printf 'hint: %s\n' "$2" >&2; fi
  exit 2
}

usage() {
  cat <<END
Finds out whether this host pulls through the cache $cache_url

  sh doctor.sh                    every client that is found here
  sh doctor.sh docker             one of: $CLIENTS

  --image REF      what is pulled (by default $DEFAULT_IMAGE); it is removed again where it was not there
  --no-pull        look at settings only
  --hosts-dir DIR  where containerd looks for hosts.toml, where that is not in its config.toml
  --json           print JSON

It ends with 0 where nothing is wrong, and with 1 where something is. The environment, for a cache that asks who comes:
REGISTRY_CACHE_USER with REGISTRY_CACHE_PASSWORD (or REGISTRY_CACHE_PASSWORD_FILE); REGISTRY_CACHE_CLIENT_CERT and
REGISTRY_CACHE_CLIENT_KEY, names of PEM files; REGISTRY_CACHE_PATH_TOKEN_FILE.
END
}

CLIENTS='docker containerd k3s podman skopeo buildah buildkit'
DEFAULT_IMAGE=docker.io/library/hello-world:latest
# No question, and no pull, is waited for longer, seconds.
ASK_MAX_S=15
PULL_MAX_S=120

options() {
  clients='' image=$DEFAULT_IMAGE pulls=yes json=no hosts_dir='' width=0 colors=no
  if [ -t 1 ]; then
    width=$(stty size 2>/dev/null </dev/tty | cut -d' ' -f2 || true)
    [ -n "${NO_COLOR:-}" ] || [ "${TERM:-dumb}" = dumb ] || colors=yes
  fi
  while [ $# -gt 0 ]; do
    case $1 in
      --image | --hosts-dir | --width)
        [ $# -gt 1 ] || fail "$1 wants a value" "sh doctor.sh --help"
        case $1 in --image) image=$2 ;; --hosts-dir) hosts_dir=$2 ;; --width) width=$2 ;; esac
        shift
        ;;
      --no-pull) pulls=no ;;
      --json) json=yes ;;
      --colors) colors=yes ;;
      -h | --help)
        usage
        exit 0
        ;;
      -*) fail "unknown option $1" "sh doctor.sh --help" ;;
      *)
        case " $CLIENTS " in
          *" $1 "*) clients="$clients $1" ;;
          *) fail "no client $1 is known here" "one of: $CLIENTS" ;;
        esac
        ;;
    esac
    shift
  done
  width=${width:-0}
  parse_image
}

# Sets $registry, $repository and $image, all of it written out: `alpine` is docker.io/library/alpine:latest.
parse_image() {
  case $image in
    -* | *[!A-Za-z0-9._:/@-]* | '') fail "--image wants the name of an image" "such as $DEFAULT_IMAGE" ;;
  esac
  first=${image%%/*}
  rest=${image#*/}
  case $first in
    "$image") first=docker.io rest=library/$image ;;
    *.* | *:* | localhost) ;;
    *) first=docker.io rest=$image ;;
  esac
  case $first/$rest in docker.io/*/*) ;; docker.io/*) rest=library/$rest ;; esac
  registry=$first
  case ${rest##*/} in *[:@]*) ;; *) rest=$rest:latest ;; esac
  image=$registry/$rest
  repository=${rest%%@*}
  case ${repository##*/} in *:*) repository=${repository%:*} ;; esac
}

# What is said ----------------------------------------------------------------------------------------------------------------------

problems=0
warnings=0
found=0

area() {
  title=$1
  clear_doing
  if [ "$json" = yes ]; then return 0; fi
  if [ "$found" != 0 ]; then echo; fi
  painted '1' "$title"
  echo
}

painted() {
  if [ "$colors" = yes ]; then printf '\033[%sm%s\033[0m' "$1" "$2"; else printf '%s' "$2"; fi
}

# say ok|warning|problem|skipped WHAT [FIX]
say() {
  clear_doing
  found=$((found + 1))
  case $1 in
    problem) problems=$((problems + 1)) ;;
    warning) warnings=$((warnings + 1)) ;;
  esac
  what=$(printf '%s' "$2" | printable)
  fix=$(printf '%s' "${3:-}" | printable)
  if [ "$json" = yes ]; then
    {
      printf '{"area":"%s","level":"%s","message":"%s"' "$(escaped "$title")" "$1" "$(escaped "$what")"
      if [ -n "$fix" ]; then printf ',"fix":"%s"' "$(escaped "$fix")"; fi
      printf '}\n'
    } >>"$work/json"
    return 0
  fi
  case $1 in ok) color=32 ;; warning) color=33 ;; problem) color=31 ;; *) color=2 ;; esac
  printf '  '
  painted "$color" "$1"
  # Behind the longest of these words.
  printf '%s' "$(printf '%9s' '' | cut -c"$((${#1} + 1))"-)"
  wrapped 11 "$what"
  if [ -n "$fix" ]; then
    printf '           '
    painted 2 'fix:'
    printf ' '
    wrapped 16 "$fix"
  fi
}

# Whatever others have said is one line, without what a terminal would obey.
printable() { tr '\n\t' '  ' | LC_ALL=C awk '{ gsub(/[\001-\037\177]|\302[\200-\237]/, ""); print }'; }

escaped() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }

# wrapped INDENT TEXT: at the terminal's width, at blanks; as one line elsewhere.
wrapped() {
  if [ "$width" -lt 60 ]; then
    printf '%s\n' "$2"
    return 0
  fi
  printf '%s\n' "$2" | awk -v indent="$1" -v width="$((width - 1))" '
    {
      room = width - indent; line = ""
      for (i = 1; i <= NF; i++) {
        if (line != "" && length(line) + 1 + length($i) > room) { emit(line); line = $i }
        else line = line == "" ? $i : line " " $i
      }
      emit(line)
    }
    function emit(text) { if (count++) printf "%" indent "s", ""; print text }'
}

# What takes its time is named, on a terminal, until it is over.
doing() {
  if [ "$json" = no ] && [ -t 2 ]; then
    printf '  %s ...' "$1" >&2
    is_doing=yes
  fi
}

clear_doing() {
  if [ "${is_doing:-no}" = yes ]; then printf '\r\033[K' >&2; fi
  is_doing=no
}

# The way to the cache -------------------------------------------------------------------------------------------------------------

secrets() {
  user=${REGISTRY_CACHE_USER:-}
  password=${REGISTRY_CACHE_PASSWORD:-}
  if [ -n "${REGISTRY_CACHE_PASSWORD_FILE:-}" ]; then password=$(cat "$REGISTRY_CACHE_PASSWORD_FILE"); fi
  path_token=${REGISTRY_CACHE_PATH_TOKEN:-}
  if [ -n "${REGISTRY_CACHE_PATH_TOKEN_FILE:-}" ]; then path_token=$(cat "$REGISTRY_CACHE_PATH_TOKEN_FILE"); fi
  : >"$work/curl"
  # In a file, since everybody sees what stands on a command line.
  if [ -n "$user" ]; then printf 'user = "%s"\n' "$(escaped "$user:$password")" >>"$work/curl"; fi
  cert=${REGISTRY_CACHE_CLIENT_CERT:-}
  key=${REGISTRY_CACHE_CLIENT_KEY:-}
  if [ -n "${REGISTRY_CACHE_CLIENT_CERT_PEM:-}" ]; then
    cert=$work/client.cert key=$work/client.key
    printf '%s\n' "$REGISTRY_CACHE_CLIENT_CERT_PEM" >"$cert"
    printf '%s\n' "${REGISTRY_CACHE_CLIENT_KEY_PEM:-}" >"$key"
  fi
  if [ -n "$cert" ]; then use_certificate; fi
  : >"$work/ca.crt"
  if [ -n "$cache_ca" ]; then printf '%s\n' "$cache_ca" >"$work/ca.crt"; fi
}

use_certificate() {
  printf 'cert = "%s"\nkey = "%s"\n' "$(escaped "$(for_curl "$cert")")" "$(escaped "$key")" >>"$work/curl"
}
# Behind a colon curl takes a password for the certificate, and folders are called HOST:PORT.
for_curl() { printf '%s' "$1" | sed 's/:/\\:/g'; }

# Sets $cert and $key to what `registry-cache connect` has written for a client of this host, if this user may read it.
find_certificate() {
  settings=${XDG_CONFIG_HOME:-${HOME:-/nonexistent}/.config}
  for folder in "$root/etc" "$settings"; do
    for one in $cache_hosts; do
      certificate_in "$folder/docker/certs.d/$one" || certificate_in "$folder/containers/certs.d/$one" || continue
      return 0
    done
    for one in containerd/certs.d docker/certs.d buildkit rancher/k3s rancher/rke2; do
      if certificate_in "$folder/$one/_registry-cache"; then return 0; fi
    done
  done
  return 1
}
certificate_in() {
  [ -r "$1/client.cert" ] && [ -r "$1/client.key" ] || return 1
  cert=$1/client.cert key=$1/client.key
}

# ask PATH [OPTION...]: sets $code (000: no answer), $remote, $ended (what curl says of its end); the answer is in $work/body.
ask() {
  asked=$1
  shift
  ended=0
  : >"$work/body"
  printf 'url = "%s%s%s"\n' "$cache_url" "${path_token:+/t/$path_token}" "$asked" >"$work/url"
  curl --silent --show-error --config "$work/curl" --config "$work/url" --connect-timeout "$ASK_MAX_S" --max-time "$ASK_MAX_S" \
    --output "$work/body" --write-out '%{http_code} %{remote_ip} %{time_total}\n' "$@" >"$work/told" 2>"$work/why" || ended=$?
  read -r code remote seconds <"$work/told" || true
  code=${code:-000}
}

cache_host() {
  host=${cache_url#*://}
  host=${host%%/*}
  case $host in
    \[*) host=${host#\[} host=${host%%\]*} ;;
    *) host=${host%%:*} ;;
  esac
  printf '%s\n' "$host"
}

# The proxy that programs of this shell use for the cache, by their usual variables; empty where there is none.
proxy_of_shell() {
  case $cache_url in
    https:*) proxy=${https_proxy:-${HTTPS_PROXY:-${all_proxy:-${ALL_PROXY:-}}}} ;;
    *) proxy=${http_proxy:-${all_proxy:-${ALL_PROXY:-}}} ;;
  esac
  if [ -n "$proxy" ] && passes_proxy_by "$(cache_host)" "${no_proxy:-${NO_PROXY:-}}"; then proxy=; fi
}

# passes_proxy_by HOST LIST: as curl and Go understand such a list; networks in it, as Go does, are left to Go.
passes_proxy_by() {
  case $1 in localhost | 127.* | ::1) return 0 ;; esac
  for one in $(printf '%s' "$2" | tr ',' ' ' | tr '*' '?'); do
    one=${one#.}
    case $one in '?') return 0 ;; '?.'*) one=${one#??} ;; esac
    case $1 in "$one" | *".$one") return 0 ;; esac
  done
  return 1
}

# Sets $tls: plain, system (this host trusts its certificate), own (the authority that the cache told of is needed), none.
look_at_way() {
  area "The way to $cache_url"
  command -v curl >/dev/null 2>&1 || {
    say problem "curl is not there, by which the cache is asked" "install curl"
    return 1
  }
  proxy_of_shell
  by=${proxy:+ through the proxy $(without_password "$proxy")}
  doing "asking the cache"
  tls=plain
  case $cache_url in https:*) tls=system ;; esac
  ask /healthz
  if [ "$ended" = 60 ] && [ -n "$cache_ca" ]; then
    tls=own
    printf 'cacert = "%s"\n' "$work/ca.crt" >>"$work/curl"
    ask /healthz
  fi
  case $ended in
    0) ;;
    *)
      say problem "$(end_of_curl)$by" "$(fix_of_curl)"
      return 1
      ;;
  esac
  if [ "$code" != 200 ] || ! grep -q '"status":"ok"' "$work/body"; then
    say problem "what answers there$by is no cache: $code" "look at $cache_url/healthz, and at what stands between"
    return 1
  fi
  say ok "it answers at $remote$by, in $(milliseconds "$seconds") ms"
  case $tls in
    system) say ok "this host trusts its certificate" ;;
    own) say ok "its certificate is of an authority that clients are told of by their settings" ;;
  esac
  if [ -n "$by" ]; then
    say warning "this shell comes through a proxy, which a cache in the same network does not need" "add $(cache_host) to NO_PROXY, here and where the clients run"
  fi
  look_at_access
}

without_password() { printf '%s' "$1" | sed 's#//[^/@]*@#//#'; }

milliseconds() { printf '%s' "$1" | awk '{ printf "%d", $1 * 1000 + 0.5 }'; }

# Of curl(1), "EXIT CODES".
end_of_curl() {
  case $ended in
    5) echo "the name of the proxy is not known" ;;
    6) echo "$(cache_host) is a name that DNS does not know here" ;;
    7) echo "nothing listens there, or a firewall is in between" ;;
    28) echo "it did not answer within $ASK_MAX_S s" ;;
    35) echo "TLS could not be agreed on: is it http://?" ;;
    58) echo "the client certificate cannot be used" ;;
    60) echo "this host does not trust its certificate: $(sed -n 's/^curl: ([0-9]*) //p' "$work/why" | head -n 1)" ;;
    *) echo "it cannot be asked: $(sed -n 's/^curl: ([0-9]*) //p' "$work/why" | head -n 1)" ;;
  esac
}

fix_of_curl() {
  case $ended in
    5) echo "mend the variable https_proxy, or unset it" ;;
    6) echo "add the name to DNS, or to /etc/hosts" ;;
    7 | 28) echo "start the cache, and let it listen beyond loopback (listen: 0.0.0.0:PORT); registry-cache doctor tells more there" ;;
    35) echo "ask by http://, or give the cache a certificate (tls)" ;;
    58) echo "look at REGISTRY_CACHE_CLIENT_CERT and REGISTRY_CACHE_CLIENT_KEY" ;;
    60) echo "name its authority in the cache's configuration (tls: ca), or add that to this host (update-ca-certificates)" ;;
    *) echo "look at what it says, and at registry-cache doctor on the cache's machine" ;;
  esac
}

# Sets $address, by which the cache knows this shell, and $knows: whether it tells what it has seen.
look_at_access() {
  knows=no
  ask '/connect/seen?format=lines'
  case $code:$tls in 401:plain | 403:plain) ;; 401:* | 403:*)
    if [ -z "$cert$user$path_token" ] && find_certificate; then
      use_certificate
      ask '/connect/seen?format=lines'
      case $code in 200) say ok "it is shown $cert, which clients here have of it" ;; esac
    fi
    ;;
  esac
  case $code in
    200)
      knows=yes
      address=$(field client)
      say ok "it lets this host in, as $address"
      ;;
    401) say problem "it wants a user and a password before it tells what it has seen" "$(fix_of_nobody)" ;;
    403) say problem "it lets nobody in from here: $(refusal)" "let this host in (access in the cache's configuration), or show who it is: $(fix_of_nobody)" ;;
    404) say problem "it is of a version that does not tell what it has seen" "upgrade the cache" ;;
    *) say problem "it does not tell what it has seen: $code" "look at its log" ;;
  esac
}

# What shows who this is, for the command and for the script, as far as the cache takes it.
fix_of_nobody() {
  say_how=
  for way in $cache_ways; do
    case $way in
      basic) how='registry-cache doctor with --login NAME, or here REGISTRY_CACHE_USER with REGISTRY_CACHE_PASSWORD_FILE' ;;
      mtls) how='registry-cache doctor with --cert FILE --key FILE, or here REGISTRY_CACHE_CLIENT_CERT with REGISTRY_CACHE_CLIENT_KEY (sudo, where only root can read them)' ;;
      path) how='registry-cache doctor with --path-token-file FILE, or here REGISTRY_CACHE_PATH_TOKEN_FILE' ;;
      *) continue ;;
    esac
    say_how="$say_how${say_how:+; or }$how"
  done
  echo "${say_how:-see --help}"
}

refusal() { sed -n 's/.*"message":"\([^"]*\)".*/\1/p' "$work/body" | head -n 1; }

field() { awk -F '\t' -v name="$1" '$1 == name { print $2; exit }' "$work/body"; }

# Does a pull come from it -------------------------------------------------------------------------------------------------------------

# blame WHY FIX: what keeps a client from the cache; the first one that is found counts.
blame() {
  say problem "$1" "$2"
  if [ -z "$cause" ]; then cause=$1 mend=$2; fi
}

limited() {
  if command -v timeout >/dev/null 2>&1; then timeout "${limit_s:-$ASK_MAX_S}" "$@"; else "$@"; fi
}

# trial NAME COMMAND...: pulls, and asks the cache whether it was asked. The command's last word is the image.
trial() {
  client=$1
  shift
  if [ "$pulls" = no ]; then
    say skipped "no pull was tried (--no-pull)"
    return 0
  fi
  if [ "$knows" = no ]; then
    say skipped "no pull was tried: the cache does not tell this host what it has seen"
    return 0
  fi
  ask '/connect/seen?format=lines'
  now=$(field now)
  # It goes into a URL, and comes from elsewhere.
  case $now in '' | *[!0-9]*) now=0 ;; esac
  doing "pulling $image with $client"
  pulled=yes
  limit_s=$PULL_MAX_S
  limited "$@" "$image" </dev/null >"$work/said" 2>&1 || pulled=no
  seen "since=$now&repository=$repository"
  if [ ! -s "$work/requests" ]; then
    sleep 1
    seen "since=$now&repository=$repository"
  fi
  judge "$@"
}

# What the cache was asked for, into $work/requests: fields as below.
seen() {
  ask "/connect/seen?format=lines&$1"
  awk -F '\t' '$1 == "request"' "$work/body" >"$work/requests"
}

# kind from status method endpoint registry repository reference outcome error agent
judge() {
  served=$(awk -F '\t' '$3 ~ /^(200|206|304|307)$/ && ($5 == "manifest" || $5 == "blob")' "$work/requests" | grep -c '' || true)
  hits=$(awk -F '\t' '$3 ~ /^(200|206|304|307)$/ && $9 ~ /^(hit|revalidated|stale)/' "$work/requests" | grep -c '' || true)
  manifests=$(awk -F '\t' '$3 ~ /^(200|206|304|307)$/ && $5 == "manifest"' "$work/requests" | grep -c '' || true)
  distrust=$(awk -F '\t' '$5 == "tls" { last = $10 } END { print last }' "$work/requests")
  refused=$(awk -F '\t' '$3 !~ /^(200|206|304|307|-)$/ { last = $3 " " $10 } END { print last }' "$work/requests")
  if [ "$manifests" != 0 ] && [ "$pulled" = yes ]; then
    say ok "$client pulls through the cache: it has answered $(counted "$served" request) for $image, $hits of them from what it holds"
  elif [ "$manifests" != 0 ]; then
    say problem "the cache has answered for $image, and $client could not pull it: $(last_said)" "look at what it says; the cache's log has a line for each request"
  elif [ -n "$refused" ]; then
    judge_refusal "${refused%% *}" "${refused#* }"
  elif [ -n "$cause" ]; then
    passed_by "$cause" "$mend"
  elif [ -n "$distrust" ]; then
    # The cache has heard it from the client itself.
    passed_by "it does not trust the cache's certificate ($distrust)" "restart $client if this host has learned of the authority only lately, which programs read at their start; or $(set_up_line)"
  else
    probe "$@"
  fi
}

last_said() { grep -v '^[[:space:]]*$' "$work/said" | tail -n 1 | cut -c1-300; }

# passed_by WHY FIX
passed_by() {
  if [ "$pulled" = yes ]; then
    say problem "$client passes the cache by, and pulled from $registry itself: $1" "$2"
  else
    say problem "$client passes the cache by, and could not pull from $registry either: $1" "$2"
  fi
}

judge_refusal() {
  case $2 in - | '') told= ;; *) told=": $2" ;; esac
  case $1 in
    401) passed_by "the cache wants to know who it is$told" "$(fix_of_access)" ;;
    403) passed_by "the cache refuses it (403)$told" "$(fix_of_access)" ;;
    404)
      if [ "$pulled" = yes ]; then passed_by "the cache does not find it (404)$told" "name an image that is there: --image"; else
        say problem "$client has asked the cache, which finds no $image (404)$told" "name an image that is there: --image"
      fi
      ;;
    429) passed_by "the cache could not ask $registry, which limits it (429)$told" "give the cache credentials for $registry; registry-cache doctor shows what is left there" ;;
    *) passed_by "the cache could not answer ($1)$told" "registry-cache doctor on the cache's machine tells why" ;;
  esac
}

fix_of_access() {
  case $client in
    docker) echo "$(set_up_line) tells what it needs: Docker sends no password to a mirror, but comes in by a network, a certificate or a secret path" ;;
    *) echo "set it up anew: $(set_up_line)" ;;
  esac
}

# Nothing came from this address, though all seems right: does the client come by another one? It is made to ask for a name that
# nobody else knows, which no registry has.
probe() {
  nonce=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  doing "finding the address by which $client comes"
  limit_s=$PULL_MAX_S
  limited "$@" "$registry/registry-cache-doctor/$nonce:probe" </dev/null >"$work/probed" 2>&1 || true
  seen "probe=$nonce"
  from=$(awk -F '\t' '{ print $2; exit }' "$work/requests")
  status=$(awk -F '\t' '{ print $3; exit }' "$work/requests")
  if [ -n "$from" ] && [ "$pulled" = yes ]; then
    say ok "$client asks the cache, as $from; this shell comes as $address, so that its single requests are not told here"
  elif [ "$status" = 401 ] || [ "$status" = 403 ]; then
    # As whom the cache knows it, which is not as whom it knows this shell.
    judge_refusal "$status" "$(awk -F '\t' '{ print $10; exit }' "$work/requests") (it comes as $from, this shell as $address)"
  elif [ -n "$from" ]; then
    say problem "$client asks the cache, as $from, and could not pull $image: $(last_said)" "look at what it says, and at the cache's log"
  else
    passed_by "its settings lead to the cache, and it was never asked$(hint_of_said)" "$(fix_of_said)"
  fi
}

hint_of_said() {
  case $(cat "$work/said") in
    *x509* | *certificate*) echo ": it does not trust the cache's certificate" ;;
    *'server gave HTTP response to HTTPS client'*) echo ": it speaks TLS to a cache that has none" ;;
    *) : ;;
  esac
}

fix_of_said() {
  case $(cat "$work/said") in
    *x509* | *certificate*) echo "set it up anew, which brings the authority: $(set_up_line)" ;;
    *) echo "restart $client, which learns of new authorities at its start alone, and look at its log for $(cache_host): DNS, a proxy or a firewall may be in its way" ;;
  esac
}

# What is piped into a shell of root's has to come from the cache itself.
set_up_line() {
  trust=
  if [ "$tls" = own ]; then trust=' --cacert CA_FILE'; fi
  case " $cache_ways " in
    *' anonymous '*) given='' ;;
    *' mtls '*)
      # Of a certificate that came by a variable there is no file.
      case $cert in '' | "$work"/*) file=CERT_FILE its_key=KEY_FILE ;; *) file=$cert its_key=$key ;; esac
      case $file in
        *:*) trust="$trust --cert '$(for_curl "$file")' --key $its_key" ;;
        *) trust="$trust --cert $file --key $its_key" ;;
      esac
      given="REGISTRY_CACHE_CLIENT_CERT=$file REGISTRY_CACHE_CLIENT_KEY=$its_key "
      ;;
    *) given='' ;;
  esac
  echo "curl -fsSL$trust $cache_url/connect/$setup | sudo ${given}sh"
}

# is_cache TEXT: whether an address, with or without scheme and path, is the cache's.
is_cache() {
  its_place=${1#*://}
  its_place=${its_place%%/*}
  case $1 in
    http://*) its_place=${its_place%:80} ;;
    *) its_place=${its_place%:443} ;;
  esac
  case " $cache_hosts " in *" $its_place "*) return 0 ;; esac
  return 1
}

main() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT HUP TERM
  : >"$work/json"
  options "$@"
  secrets
  knows=no tls=none address=''
  if look_at_way; then
    case " $cache_serves " in
      *" $registry "*) look_at_clients ;;
      *) say problem "the cache does not serve $registry" "it serves $cache_serves; name one of their images: --image" ;;
    esac
  fi
  conclude
}

look_at_clients() {
  if [ -z "$clients" ]; then
    for one in $CLIENTS; do if "has_$one"; then clients="$clients $one"; fi; done
  fi
  if [ -z "$clients" ]; then
    area "Clients"
    say warning "no client is found on this host" "install one, or name it: one of $CLIENTS"
  fi
  for one in $clients; do
    cause='' limit_s=''
    "doctor_$one"
  done
}

conclude() {
  clear_doing
  if [ "$json" = yes ]; then
    printf '{"cache":"%s","problems":%s,"warnings":%s,"findings":[%s]}\n' "$(escaped "$cache_url")" "$problems" "$warnings" "$(paste -s -d , "$work/json")"
  else
    echo
    if [ "$problems" = 0 ] && [ "$warnings" = 0 ]; then painted 32 'all is well'; else
      painted "$([ "$problems" = 0 ] && echo 33 || echo 31)" "$(counted "$problems" problem), $(counted "$warnings" warning)"
    fi
    echo
  fi
  [ "$problems" = 0 ]
}

counted() { if [ "$1" = 1 ]; then echo "1 $2"; else echo "$1 ${2}s"; fi; }
