# Each client: is it here (has_NAME), and what is there to be said of it (doctor_NAME).

has_docker() { command -v docker >/dev/null 2>&1; }
# Beside Docker it is Docker's, unless somebody has brought a tool of its own.
has_containerd() {
  case $(containerd_tool) in
    '') return 1 ;;
    ctr) ! has_docker && ! has_k3s ;;
    *) ! has_k3s ;;
  esac
}
has_k3s() { command -v k3s >/dev/null 2>&1; }
has_podman() { command -v podman >/dev/null 2>&1; }
# They read the same files as Podman, so that one speaks for all, unless one is named.
has_skopeo() { command -v skopeo >/dev/null 2>&1 && ! has_podman; }
has_buildah() { command -v buildah >/dev/null 2>&1 && ! has_podman; }
has_buildkit() { command -v buildctl >/dev/null 2>&1; }

# is_there COMMAND
is_there() {
  if command -v "$1" >/dev/null 2>&1; then return 0; fi
  say problem "$1 is not installed here" "run this where it is"
  return 1
}

# changed_since_start FILE PROGRAM: whether a file is newer than the program that reads it at its start.
changed_since_start() {
  [ -f "$1" ] || return 1
  for pid in $(pidof "$2" 2>/dev/null || true); do
    # By clocks that are not read at the same moment.
    [ "$(stat -c %Y "$1")" -gt "$(($(started_at "$pid") + 2))" ] && return 0
  done
  return 1
}

# started_at PID: seconds since the epoch, of proc(5): when the system was started, and how many ticks later the process was.
started_at() {
  awk -v hz="$(getconf CLK_TCK 2>/dev/null || echo 100)" '
    FNR == NR { if ($1 == "btime") booted = $2; next }
    { sub(/^.*\) /, ""); print int(booted + $20 / hz) }' /proc/stat "/proc/$1/stat"
}

# service_command VERB SERVICE: what a person types for that here.
service_command() {
  if [ -d /run/systemd/system ]; then
    echo "systemctl $1 $2"
  elif [ "$1 $2" = 'reload docker' ] && [ -f /run/docker.pid ]; then
    # Its init script knows no reload.
    # shellcheck disable=SC2016 # it is for whoever reads it
    echo 'kill -HUP "$(cat /run/docker.pid)"'
  elif [ -x "/etc/init.d/$2" ]; then
    case $1 in start) echo "service $2 start" ;; *) echo "service $2 restart" ;; esac
  elif command -v systemctl >/dev/null 2>&1; then
    echo "systemctl $1 $2"
  else
    echo "$1 $2, in the way it is started here"
  fi
}

# why_not SERVICE: how it is started, and where it says why it was not.
why_not() {
  if [ -d /run/systemd/system ]; then
    echo "systemctl start $1; journalctl -u $1 tells why it does not run"
  else
    echo "$(service_command start "$1"); its log tells why it does not run"
  fi
}

# Docker Engine -----------------------------------------------------------------------------------------------------------------------

doctor_docker() {
  area 'Docker Engine'
  setup=docker
  is_there docker || return 0
  if ! limited docker info --format '{{.ServerVersion}}' >"$work/version" 2>"$work/said" || [ ! -s "$work/version" ]; then
    case $(cat "$work/said") in
      *'permission denied'*) say problem "this user may not ask the daemon" "run this with sudo, or as a member of the group docker" ;;
      *) say problem "the daemon does not answer: $(last_said)" "$(why_not docker)" ;;
    esac
    return 0
  fi
  version=$(cat "$work/version")
  major=${version%%.*}
  store='graph drivers'
  case $(docker info --format '{{.DriverStatus}}' 2>/dev/null) in *io.containerd.snapshotter*) store='the containerd store' ;; esac
  say ok "Docker Engine $version, with $store"
  docker=$root/etc/docker
  case $(docker info --format '{{.SecurityOptions}}' 2>/dev/null) in *name=rootless*) docker=${XDG_CONFIG_HOME:-$HOME/.config}/docker ;; esac
  in_force=$(docker info --format '{{range .RegistryConfig.Mirrors}}{{.}} {{end}}' 2>/dev/null)
  if [ "$store" = 'graph drivers' ] || [ "$major" -lt 28 ] || [ -n "$(first_cache "$in_force")" ]; then
    docker_mirrors
  else
    # The containerd that is built into it.
    if [ "$major" -ge 29 ]; then containerd_version=2.2; else containerd_version=2.0.0; fi
    hosts_toml "$docker/certs.d" 'Docker Engine'
  fi
  docker_proxy
  if [ "$store" = 'graph drivers' ] && [ "$registry" != docker.io ]; then
    say skipped "no pull of $registry was tried: with graph drivers a mirror is for docker.io alone" ""
    return 0
  fi
  had=no
  if docker image inspect "$image" >/dev/null 2>&1; then had=yes; fi
  trial docker docker pull
  if [ "$had" = no ] && [ "$pulls" = yes ]; then docker image rm "$image" >/dev/null 2>&1 || true; fi
}

docker_mirrors() {
  file=$docker/daemon.json
  in_file=$(list_in_json "$file" registry-mirrors)
  mirror=$(first_cache "$in_force")
  if [ -n "$mirror" ]; then
    say ok "its mirror for docker.io is $(without_token "$mirror")"
    first=${in_force%% *}
    if ! is_cache "$first"; then
      say warning "another mirror is asked before it: $first" "let it stand first in registry-mirrors of $file"
    fi
    docker_trust "$mirror"
  elif [ -n "$(first_cache "$in_file")" ]; then
    blame "$file names the cache as a mirror, and the daemon has not read it since" "$(service_command reload docker)"
  else
    blame "no mirror of it is the cache${in_force:+ (it has ${in_force% })}" "$(set_up_line)"
  fi
}

first_cache() {
  for one in $1; do
    if is_cache "$one"; then
      echo "$one"
      return 0
    fi
  done
}

without_token() { printf '%s' "$1" | sed 's#/t/[^/]*#/t/********#'; }

# list_in_json FILE KEY: the texts of a list, one a line.
list_in_json() {
  [ -f "$1" ] || return 0
  tr '\n' ' ' <"$1" | sed -n "s/.*\"$2\"[[:space:]]*:[[:space:]]*\[\([^]]*\)\].*/\1/p" | tr ',' '\n' | awk -F '"' 'NF > 2 { print $2 }'
}

# Certificates of loopback addresses are not looked at.
docker_trust() {
  case $1 in https://*) ;; *) return 0 ;; esac
  case $remote in 127.* | ::1) return 0 ;; esac
  place=${1#https://}
  place=${place%%/*}
  folder=$docker/certs.d/$place
  for cert in "$folder"/*.cert; do
    if [ -f "$cert" ] && [ ! -f "${cert%.cert}.key" ]; then
      blame "$cert is taken for a client certificate without a key, which breaks every pull" "an authority is called ca.crt: mv $cert $folder/ca.crt"
    fi
  done
  if [ "$tls" = own ] && ! trusted_by "$folder"/*.crt; then
    blame "it does not trust the cache's certificate: $folder has no authority of it" "$(set_up_line)"
  fi
}

# trusted_by FILE...: whether the cache's certificate is of an authority in one of these files.
trusted_by() {
  for file_of in "$@"; do
    [ -f "$file_of" ] || continue
    ended=0
    grep -v '^cacert' "$work/curl" >"$work/curl.other" || true
    curl --silent --config "$work/curl.other" --cacert "$file_of" --max-time "$ASK_MAX_S" --output /dev/null "$cache_url/healthz" || ended=$?
    if [ "$ended" = 0 ]; then return 0; fi
  done
  return 1
}

docker_proxy() {
  case $cache_url in https:*) word=HTTPSProxy ;; *) word=HTTPProxy ;; esac
  its=$(docker info --format "{{.$word}}" 2>/dev/null || true)
  if [ -z "$its" ]; then return 0; fi
  if passes_proxy_by "$(cache_host)" "$(docker info --format '{{.NoProxy}}' 2>/dev/null)"; then return 0; fi
  say warning "the daemon goes to the cache through the proxy $(without_password "$its")" "add $(cache_host) to the daemon's NO_PROXY (no-proxy below proxies in $docker/daemon.json), and restart it"
}

# hosts.toml --------------------------------------------------------------------------------------------------------------------------

# hosts_toml FOLDER WHO: which file counts for $registry, and whether it leads to the cache. The first folder that is there counts, be
# it empty.
hosts_toml() {
  winner=
  for name in "$(printf '%s' "$registry" | sed 's/:\([0-9]*\)$/_\1_/')" "$registry" _default; do
    if [ -d "$1/$name" ]; then
      winner=$1/$name
      break
    fi
  done
  if [ -z "$winner" ]; then
    blame "there is no hosts.toml for $registry below $1" "$(set_up_line)"
    return 0
  fi
  file=$winner/hosts.toml
  if [ ! -f "$file" ] || ! leads_to_cache "$file"; then
    if [ "$winner" != "$1/_default" ] && [ -f "$1/_default/hosts.toml" ] && leads_to_cache "$1/_default/hosts.toml"; then
      blame "the folder $winner hides $1/_default, which leads to the cache" "remove $winner, or let its hosts.toml name the cache as well"
    else
      blame "$file does not name the cache" "$(set_up_line)"
    fi
    return 0
  fi
  say ok "$file leads to the cache"
  hosts_toml_faults "$file" "$2"
}

leads_to_cache() {
  for one in $(hosts_in "$1") $(sed -n 's/^[[:space:]]*server[[:space:]]*=[[:space:]]*"\([^"]*\)".*/\1/p' "$1"); do
    if is_cache "$one"; then return 0; fi
  done
  return 1
}

hosts_in() { tr "'" '"' <"$1" | sed -n 's/^[[:space:]]*\[host\."\([^"]*\)"\][[:space:]]*\(#.*\)\{0,1\}$/\1/p'; }

hosts_toml_faults() {
  known='pull resolve push'
  case ${containerd_version:-} in 2.[01].* | 1.* | '') ;; *) known="$known referrers" ;; esac
  for one in $(capabilities_in "$1"); do
    case " $known " in
      *" $one "*) ;;
      *) blame "$2 drops all of $1: it does not know the capability \"$one\"" "take \"$one\" out of it" ;;
    esac
  done
  first=$(hosts_in "$1" | head -n 1)
  if [ -n "$first" ] && ! is_cache "$first"; then
    say warning "another mirror is asked before the cache: $first" "let the cache's [host] stand first in $1"
  fi
  # shellcheck disable=SC2013 # words
  for one in $(sed -n 's/^[[:space:]]*ca[[:space:]]*=[[:space:]]*"\([^"]*\)".*/\1/p' "$1"); do
    if [ ! -r "$root$one" ]; then blame "$1 names the authority $one, which is not there" "$(set_up_line)"; fi
  done
  if [ "$tls" = own ] && ! grep -q '^[[:space:]]*\(ca\|skip_verify\)[[:space:]]*=' "$1"; then
    blame "$2 does not trust the cache's certificate: $1 names no authority (ca)" "$(set_up_line)"
  fi
}

capabilities_in() {
  grep -v '^[[:space:]]*#' "$1" | tr "'\n" '" ' | awk '
    {
      while (match($0, /capabilities[ \t]*=[ \t]*\[[^]]*\]/)) {
        list = substr($0, RSTART, RLENGTH)
        $0 = substr($0, RSTART + RLENGTH)
        sub(/^[^[]*\[/, "", list); sub(/\]$/, "", list); gsub(/[",]/, " ", list)
        print list
      }
    }'
}

# containerd ---------------------------------------------------------------------------------------------------------------------------

containerd_tool() {
  for one in crictl nerdctl ctr; do
    if command -v "$one" >/dev/null 2>&1; then
      # crictl speaks to CRI alone, which Docker's containerd has not.
      if [ "$one" = crictl ] && ! limited crictl version >/dev/null 2>&1; then continue; fi
      echo "$one"
      return 0
    fi
  done
}

doctor_containerd() {
  area containerd
  setup=containerd
  tool=$(containerd_tool)
  if [ -z "$tool" ]; then
    say problem "neither crictl, nerdctl nor ctr is here, by which containerd is asked" "run this where containerd is"
    return 0
  fi
  if ! limited "$tool" version >"$work/said" 2>&1; then
    say problem "containerd does not answer $tool: $(last_said)" "$(why_not containerd)"
    return 0
  fi
  containerd_version=$(containerd --version 2>/dev/null | awk '{ print $3 }' | sed 's/^v//; s/[~+].*//')
  say ok "containerd ${containerd_version:-of an unknown version}, asked by $tool"
  file=$root/etc/containerd/config.toml
  folder=$hosts_dir
  if [ -z "$folder" ]; then
    folder=$(sed -n 's/^[[:space:]]*config_path[[:space:]]*=[[:space:]]*["'\'']\([^"'\'':]*\).*/\1/p' "$file" 2>/dev/null | head -n 1)
    if [ -n "$folder" ]; then folder=$root$folder; fi
  fi
  if [ -n "$folder" ]; then
    # It is CRI, and so the kubelet, that goes by this file; the other tools bring the folder themselves.
    if [ -z "$hosts_dir" ] && changed_since_start "$file" containerd; then
      changed="$file was changed after containerd had started"
      if [ "$tool" = crictl ]; then blame "$changed" "$(service_command restart containerd)"; else say warning "$changed" "$(service_command restart containerd)"; fi
    fi
  elif [ "$tool" = crictl ]; then
    blame "$file names no folder of hosts.toml (config_path), so that CRI reads none" "$(set_up_line), then $(service_command restart containerd)"
    folder=$root/etc/containerd/certs.d
  else
    folder=$root/etc/containerd/certs.d
  fi
  hosts_toml "$folder" containerd
  case $tool in
    crictl) containerd_trial crictl 'crictl inspecti' 'crictl rmi' crictl pull ;;
    nerdctl) containerd_trial nerdctl 'nerdctl image inspect' 'nerdctl rmi' nerdctl --hosts-dir "$folder" pull ;;
    ctr) containerd_trial ctr has_ctr_image 'ctr images rm' ctr images pull --hosts-dir "$folder" ;;
  esac
}

has_ctr_image() { [ -n "$(ctr images ls -q "name==$1")" ]; }

# containerd_trial NAME IS-THERE REMOVE COMMAND...; the first two are words that the image is added to.
containerd_trial() {
  its_name=$1 its_look=$2 its_removal=$3
  shift 3
  had=no
  # shellcheck disable=SC2086 # words
  if $its_look "$image" >/dev/null 2>&1; then had=yes; fi
  trial "$its_name" "$@"
  # shellcheck disable=SC2086
  if [ "$had" = no ] && [ "$pulls" = yes ]; then $its_removal "$image" >/dev/null 2>&1 || true; fi
}

doctor_k3s() {
  area 'k3s'
  setup=k3s
  is_there k3s || return 0
  file=$root/etc/rancher/k3s/registries.yaml
  settings_name_cache "$file" 'mirrors of k3s'
  if changed_since_start "$file" k3s-server || changed_since_start "$file" k3s-agent; then
    blame "$file was changed after k3s had started" "$(service_command restart k3s) (on agents: k3s-agent)"
  fi
  containerd_trial k3s 'k3s crictl inspecti' 'k3s crictl rmi' k3s crictl pull
}

# settings_name_cache FILE WHAT: of formats that are not read any closer.
settings_name_cache() {
  for place in $cache_hosts; do
    if [ -f "$1" ] && grep -v '^[[:space:]]*#' "$1" | grep -q -F -- "$place"; then
      say ok "$1 names the cache"
      return 0
    fi
  done
  blame "$1, with the $2, does not name the cache" "$(set_up_line)"
}

# Podman, Skopeo, Buildah ---------------------------------------------------------------------------------------------------------------

doctor_podman() {
  area Podman
  is_there podman || return 0
  containers_settings podman
  had=no
  if podman image exists "$image" 2>/dev/null; then had=yes; fi
  trial podman podman pull --quiet
  if [ "$had" = no ] && [ "$pulls" = yes ]; then podman rmi "$image" >/dev/null 2>&1 || true; fi
}

doctor_skopeo() {
  area Skopeo
  is_there skopeo || return 0
  containers_settings skopeo
  # It keeps nothing; for more than the manifest it would ask the registry itself.
  # shellcheck disable=SC2016 # for that shell
  trial skopeo sh -c 'exec skopeo inspect --raw "docker://$1"' sh
}

doctor_buildah() {
  area Buildah
  is_there buildah || return 0
  containers_settings buildah
  had=no
  if buildah inspect --type image "$image" >/dev/null 2>&1; then had=yes; fi
  trial buildah buildah pull --quiet
  if [ "$had" = no ] && [ "$pulls" = yes ]; then buildah rmi "$image" >/dev/null 2>&1 || true; fi
}

# Of all files that are read the last one with the registry counts: drop-ins come after the main file.
containers_files() {
  # Of the three Skopeo does not look at it.
  if [ -n "${CONTAINERS_REGISTRIES_CONF:-}" ] && [ "$1" != skopeo ]; then
    echo "$CONTAINERS_REGISTRIES_CONF"
    return 0
  fi
  own=${XDG_CONFIG_HOME:-${HOME:-/nonexistent}/.config}/containers
  if [ -f "$own/registries.conf" ] && [ "$(id -u)" != 0 ]; then echo "$own/registries.conf"; else echo "$root/etc/containers/registries.conf"; fi
  for file in "$root"/etc/containers/registries.conf.d/*.conf; do [ ! -f "$file" ] || echo "$file"; done
  if [ "$(id -u)" != 0 ]; then for file in "$own"/registries.conf.d/*.conf; do [ ! -f "$file" ] || echo "$file"; done; fi
}

containers_settings() {
  setup=podman
  containers_files "$1" | while read -r file; do
    [ ! -f "$file" ] || mirrors_in "$file"
  done | tail -n 1 >"$work/mirrors"
  if [ ! -s "$work/mirrors" ]; then
    blame "no file of registries.conf has a mirror for $registry" "$(set_up_line)"
    return 0
  fi
  file=$(cut -f1 "$work/mirrors")
  first=$(cut -f2 "$work/mirrors" | tr ' ' '\n' | sed -n 1p)
  # shellcheck disable=SC2013 # words
  for one in $(cut -f2 "$work/mirrors"); do
    place=${one%=insecure}
    if is_cache "https://$place" || is_cache "http://$place"; then
      say ok "$file leads $registry to $place"
      if [ "$one" != "$first" ]; then say warning "another mirror is asked before it: ${first%=insecure}" "let the cache's [[registry.mirror]] stand first in $file"; fi
      containers_trust "$one"
      return 0
    fi
  done
  blame "$file leads $registry elsewhere${first:+, to ${first%=insecure}}" "$(set_up_line)"
}

# One line for each [[registry]] of $registry: the file, a tab, its mirrors in their order (or where it is itself), with =insecure.
mirrors_in() {
  tr "'" '"' <"$1" | awk -v registry="$registry" -v file="$1" '
    function value(line) { sub(/^[^=]*=[ \t]*/, "", line); sub(/^"/, "", line); sub(/".*/, "", line); return line }
    function end_mirror() { if (inMirror && at != "") list = list (list == "" ? "" : " ") at (insecure ? "=insecure" : ""); at = ""; insecure = 0; inMirror = 0 }
    function end_registry() {
      end_mirror()
      if (inRegistry && (prefix == registry || (prefix == "" && location == registry))) {
        if (list == "" && location != registry) list = location (own ? "=insecure" : "")
        print file "\t" list
      }
      prefix = ""; location = ""; list = ""; own = 0; inRegistry = 0
    }
    /^[ \t]*#/ { next }
    /^[ \t]*\[\[registry\]\]/ { end_registry(); inRegistry = 1; next }
    /^[ \t]*\[\[registry\.mirror\]\]/ { end_mirror(); inMirror = 1; next }
    /^[ \t]*\[/ { end_registry(); next }
    /^[ \t]*prefix[ \t]*=/ { prefix = value($0) }
    /^[ \t]*location[ \t]*=/ { if (inMirror) at = value($0); else location = value($0) }
    /^[ \t]*insecure[ \t]*=[ \t]*true/ { if (inMirror) insecure = 1; else own = 1 }
    END { end_registry() }'
}

containers_trust() {
  place=${1%=insecure}
  host_part=${place%%/*}
  case $cache_url in
    http:*)
      case $1 in
        *=insecure) ;;
        *) blame "it would speak TLS to $host_part, which has none: insecure = true is missing beside that mirror" "$(set_up_line)" ;;
      esac
      ;;
    https:*)
      case $1 in *=insecure) return 0 ;; esac
      [ "$tls" = own ] || return 0
      own=${XDG_CONFIG_HOME:-${HOME:-/nonexistent}/.config}/containers/certs.d
      if ! trusted_by "$own/$host_part"/*.crt "$root/etc/containers/certs.d/$host_part"/*.crt "$root/etc/docker/certs.d/$host_part"/*.crt; then
        blame "it does not trust the cache's certificate: $root/etc/containers/certs.d/$host_part has no authority of it" "$(set_up_line)"
      fi
      ;;
  esac
}

# BuildKit ------------------------------------------------------------------------------------------------------------------------------

doctor_buildkit() {
  area BuildKit
  setup=buildkit
  is_there buildctl || return 0
  file=$root/etc/buildkit/buildkitd.toml
  settings_name_cache "$file" 'mirrors of BuildKit'
  if changed_since_start "$file" buildkitd; then
    blame "$file was changed after buildkitd had started" "$(service_command restart buildkit)"
  fi
  mkdir -p "$work/context"
  # shellcheck disable=SC2016 # for that shell
  trial buildkit sh -c 'cd "$1" && echo "FROM $2" >Dockerfile &&
    exec buildctl build --no-cache --frontend dockerfile.v0 --local context=. --local dockerfile=.' sh "$work/context"
}
