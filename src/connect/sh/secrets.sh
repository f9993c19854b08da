# Names, passwords, keys: where they come from, how they get into settings, and that nobody sees them. They are handed to programs in
# their environment, which none but their user can read, and never as arguments: `printf` is a program in some shells.

# The text of variable $1, as it is.
text_of() { RC_text=$1 awk 'BEGIN { printf "%s", ENVIRON["RC_text"] }'; }

# A file named by $1 becomes the value of a variable.
read_secret() {
  if [ ! -f "$1" ] || [ ! -r "$1" ]; then fail "$1 cannot be read" "name a file that $(id -un) may read"; fi
  cat "$1"
}

# Programs for it have several names, and some hosts have none of them.
base64_of() {
  text_of "$1" | od -An -v -tu1 | awk '
    BEGIN { letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" }
    { for (i = 1; i <= NF; i++) bytes[count++] = $i }
    function letter(n) { return substr(letters, n + 1, 1) }
    END {
      for (i = 0; i < count; i += 3) {
        a = bytes[i]; b = (i + 1 < count) ? bytes[i + 1] : 0; c = (i + 2 < count) ? bytes[i + 2] : 0
        printf "%s%s", letter(int(a / 4)), letter((a % 4) * 16 + int(b / 16))
        printf "%s%s", (i + 1 < count) ? letter((b % 16) * 4 + int(c / 64)) : "=", (i + 2 < count) ? letter(c % 64) : "="
      }
    }'
}

secrets() {
  user=${REGISTRY_CACHE_USER:-}
  password=${REGISTRY_CACHE_PASSWORD:-}
  if [ -n "${REGISTRY_CACHE_PASSWORD_FILE:-}" ]; then password=$(read_secret "$REGISTRY_CACHE_PASSWORD_FILE"); fi
  path_token=${REGISTRY_CACHE_PATH_TOKEN:-}
  if [ -n "${REGISTRY_CACHE_PATH_TOKEN_FILE:-}" ]; then path_token=$(read_secret "$REGISTRY_CACHE_PATH_TOKEN_FILE"); fi
  # Without the ends of their last lines, as files are read too: the same bytes are written, however they came.
  client_cert=$(text_of "${REGISTRY_CACHE_CLIENT_CERT_PEM:-}")
  if [ -n "${REGISTRY_CACHE_CLIENT_CERT:-}" ]; then client_cert=$(read_secret "$REGISTRY_CACHE_CLIENT_CERT"); fi
  client_key=$(text_of "${REGISTRY_CACHE_CLIENT_KEY_PEM:-}")
  if [ -n "${REGISTRY_CACHE_CLIENT_KEY:-}" ]; then client_key=$(read_secret "$REGISTRY_CACHE_CLIENT_KEY"); fi
  case $path_token in *[!A-Za-z0-9_-]*) fail "the secret path's token has characters that do not belong into one" ;; esac
  if [ -n "$client_cert$client_key" ]; then
    case $client_cert in
      *'-----BEGIN CERTIFICATE-----'*) ;;
      *) fail "there is no certificate for this client, in PEM form" "set REGISTRY_CACHE_CLIENT_CERT to the name of its file" ;;
    esac
    case $client_key in
      *'PRIVATE KEY-----'*) ;;
      *) fail "a client certificate is of no use without its key" "set REGISTRY_CACHE_CLIENT_KEY to the name of its file, in PEM form" ;;
    esac
  fi
  case $user in *:*) fail "a user's name has no colon in it" ;; esac
  if [ -n "$user" ] && [ -z "$password" ]; then
    fail "there is no password for $user" "set REGISTRY_CACHE_PASSWORD_FILE to the name of a file that has it"
  fi
  basic=
  if [ -n "$user" ]; then basic=$(base64_of "$user:$password"); fi
}

no_secrets() { user='' password='' path_token='' client_cert='' client_key='' basic=''; }

# What the cache wants to see, and this client can show: words of `anonymous`, `basic`, `mtls` and `path`.
wants() {
  has=
  wanted=
  for way in "$@"; do
    case $way in
      anonymous) has=yes ;;
      basic) if [ -n "$basic" ]; then has=yes; else wanted="$wanted REGISTRY_CACHE_USER and REGISTRY_CACHE_PASSWORD_FILE (or --login),"; fi ;;
      mtls) if [ -n "$client_cert" ]; then has=yes; else wanted="$wanted REGISTRY_CACHE_CLIENT_CERT and REGISTRY_CACHE_CLIENT_KEY (or --cert and --key),"; fi ;;
      path) if [ -n "$path_token" ]; then has=yes; else wanted="$wanted REGISTRY_CACHE_PATH_TOKEN_FILE (or --path-token-file),"; fi ;;
    esac
  done
  if [ -n "$has" ]; then return 0; fi
  if [ "$mode" = print ]; then
    # What is printed says what belongs there.
    case $1 in
      basic) basic=BASE64_OF_USER:PASSWORD ;;
      mtls) client_cert='(the certificate of this client, PEM)' client_key='(its key, PEM)' cert64=BASE64_OF_CERTIFICATE key64=BASE64_OF_KEY ;;
      path) path_token=TOKEN ;;
    esac
  else
    # Of a password that was given there is no use.
    case " $* :$basic" in
      *' basic '* | *:) ;;
      *)
        why='' other=''
        if [ "$client" = docker ]; then
          why=': Docker Engine with graph drivers sends its mirror those of Docker Hub (moby issue 30880)'
          other='; or pull by the cache'"'"'s name (--variant references)'
        fi
        fail "passwords are what this client cannot send to this cache$why" "set, in the environment (or give registry-cache connect the option),${wanted%,}$other"
        ;;
    esac
    fail "this cache lets nobody in without a name, and nothing was given to show it" "set, in the environment (or give registry-cache connect the option),${wanted%,}"
  fi
}

# Puts folders and secrets into a text. A line that begins with @NAME? is there only where NAME has a value.
filled() {
  RC_basic=$basic RC_path=$path_token RC_mtls=$client_cert RC_docker=$docker RC_containers=$containers RC_containerd=$containerd \
    RC_certsd=${certs_d:-$containerd/certs.d} RC_buildkit=$buildkit RC_rancher=$rancher RC_here=$here RC_own=$own RC_minikube=$minikube \
    RC_cert=$client_cert RC_key=$client_key RC_t=${path_token:+/t/$path_token} RC_cert64=${cert64:-} RC_key64=${key64:-} awk '
    # What was put in is not looked at again: a password may look like anything.
    function with_values(text,  out, at, name, i) {
      out = ""
      while ((at = index(text, "@")) > 0) {
        out = out substr(text, 1, at - 1); text = substr(text, at)
        name = ""
        for (i = 1; i <= count; i++) if (index(text, "@" names[i] "@") == 1) name = names[i]
        if (name == "") { out = out "@"; text = substr(text, 2); continue }
        out = out ENVIRON["RC_" name]; text = substr(text, length(name) + 3)
      }
      return out text
    }
    BEGIN { count = split("docker containers containerd certsd buildkit rancher here own minikube basic path t cert64 key64", names, " ") }
    {
      if (match($0, /^@[a-z]+\?/)) {
        name = substr($0, 2, RLENGTH - 2)
        if (ENVIRON["RC_" name] == "") next
        $0 = substr($0, RLENGTH + 1)
      }
      print with_values($0)
    }'
}

# The certificate and its key in one line each, for the formats that want them so.
one_line_pems() {
  cert64='' key64=''
  if [ -n "$client_cert" ]; then cert64=$(base64_of "$client_cert
") key64=$(base64_of "$client_key
"); fi
}

# For people, without secrets: those of this run, and whatever else looks like one, for it may be somebody's, or have been there before.
masked() {
  RC_1=$basic RC_2=$path_token awk '
    function without(text, secret,  out, at) {
      out = ""
      while ((at = index(text, secret)) > 0) { out = out substr(text, 1, at - 1) "********"; text = substr(text, at + length(secret)) }
      return out text
    }
    BEGIN { for (i = 1; i <= 2; i++) if (ENVIRON["RC_" i] != "") secrets[i] = ENVIRON["RC_" i] }
    /-----BEGIN [A-Z ]*PRIVATE KEY-----/ { print; print "********"; isKey = 1 }
    /-----END [A-Z ]*PRIVATE KEY-----/ { isKey = 0 }
    isKey { next }
    {
      for (i in secrets) $0 = without($0, secrets[i])
      gsub(/(Basic|Bearer) [A-Za-z0-9+\/=._~-]+/, "Basic ********")
      gsub(/\/t\/[A-Za-z0-9_-]+/, "/t/********")
      # `http://user:password@proxy`
      gsub(/:\/\/[^\/@" ]+@/, "://********@")
      if (match(tolower($0), /(password|passwd|secret|token|auth|authorization|key)["\047]?[ \t]*[:=][ \t]*["\047]?[^"\047{\[ \t\/]/)) {
        if ($0 !~ /\*\*\*\*\*\*\*\*/ && $0 !~ /[Kk]ey["\047]?[ \t]*[:=][ \t]*["\047]?[.\/@]/) $0 = substr($0, 1, RSTART + RLENGTH - 2) "********"
      }
      print
    }'
}
