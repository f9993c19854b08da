# What a client on this host is, as far as its settings depend on it: `detect_...` sets $found to a variant, or leaves it empty. And what
# has to be looked at on the host before its settings are written.

# A program that hangs must not hang this.
bounded() { if command -v timeout >/dev/null 2>&1; then timeout 20 "$@"; else "$@"; fi; }

detect_none() { :; }

# Of Docker Engine it is the image store that matters: graph drivers ask mirrors for Docker Hub alone and read no hosts.toml.
detect_docker() {
  docker_major=
  # What is printed for another host has nothing to do with this one.
  if [ -n "$root" ] || { [ "$mode" = print ] && [ -n "$variant" ]; }; then return 0; fi
  if [ "$is_user" = yes ]; then said=$(docker_says); else said=$(DOCKER_HOST='' DOCKER_CONTEXT=default docker_says); fi
  case $said in
    [0-9]*io.containerd.snapshotter*) found='containerd-store' ;;
    [0-9]*) found='graph-drivers' ;;
    *)
      # It does not run, so that nobody can say what it has stored in.
      said=$(dockerd --version 2>/dev/null | sed -n 's/^Docker version //p' || true)
      ;;
  esac
  docker_major=$(printf '%s\n' "$said" | sed -n 's/^\([0-9][0-9]*\)\..*/\1/p')
  if [ -z "$found" ] && [ -n "$docker_major" ]; then
    if [ "$docker_major" -ge 29 ] && [ ! -d /var/lib/docker/overlay2 ]; then found='containerd-store'; fi
    # Earlier ones have the other store only where somebody has asked for it.
    if [ "$docker_major" -lt 29 ] && ! grep -q -s 'containerd-snapshotter' "$docker/daemon.json"; then found='graph-drivers'; fi
  fi
}
docker_says() { bounded docker info --format '{{.ServerVersion}} {{.DriverStatus}}' </dev/null 2>/dev/null || true; }

# docker_at_least MAJOR WHAT HINT
docker_at_least() {
  if [ -n "$docker_major" ] && [ "$docker_major" -lt "$1" ]; then fail "Docker Engine $docker_major does not take $2" "$3"; fi
}

# Docker does not start where a setting is in its file and on its command line too.
docker_flags() {
  if [ -n "$root" ] || [ "$mode" = print ] || [ "$is_user" = yes ]; then return 0; fi
  pid=$(cat /run/docker.pid 2>/dev/null || true)
  if [ -z "$pid" ] || [ ! -r "/proc/$pid/cmdline" ]; then return 0; fi
  for flag in registry-mirror insecure-registry; do
    case $flag in registry-mirror) key=registry-mirrors ;; *) key=insecure-registries ;; esac
    slot_of "$docker/daemon.json"
    if tr '\0' '\n' <"/proc/$pid/cmdline" | grep -q "^--$flag" && grep -q -s "\"$key\"" "$work/$slot.new"; then
      fail "dockerd has --$flag on its command line, beside which it takes no $key in $docker/daemon.json" \
        "take the flag out of its unit (systemctl edit --full docker) and run this again"
    fi
  done
}

# The new daemon.json, as far as this version looks at one beforehand.
docker_validate() {
  docker_flags
  if [ -n "$root" ] || [ "$mode" = print ]; then return 0; fi
  slot_of "$docker/daemon.json"
  [ -f "$work/$slot.new" ] || return 0
  if dockerd --help 2>/dev/null | grep -q -e '--validate'; then check dockerd --validate --config-file "$work/$slot.new"; fi
}

# At a reload dockerd keeps what its file no longer names, so that nothing less than a restart takes it away.
docker_keeps() {
  case $restart_command in *'reload docker' | 'kill -HUP '*) ;; *) return 0 ;; esac
  grep -q -x -F -- "$docker/daemon.json" "$work/changed" || return 0
  slot_of "$docker/daemon.json"
  for key in registry-mirrors insecure-registries; do
    if grep -q -s "\"$key\"" "$work/$slot.new" || ! grep -q -s "\"$key\"" "$work/$slot.now"; then continue; fi
    restart_command=$(service_command restart docker)
    restart_note="a reload takes no $key away: until Docker Engine is restarted it uses them; containers stop then, unless live-restore is set"
  done
}

detect_containerd() {
  if [ -n "$root" ]; then return 0; fi
  said=$(containerd --version 2>/dev/null | awk '{ print $3 }' || true)
  case $said in
    v1.* | 1.*) found='containerd-1' ;;
    v[2-9]* | [2-9]*) found='containerd-2' ;;
  esac
}

# containerd's own configuration has to say where hosts.toml lie: for Kubernetes and whoever else pulls through CRI. Sets $certs_d.
containerd_config() {
  file=$containerd/config.toml
  cri='plugins."io.containerd.cri.v1.images"'
  first='version = 3'
  if [ "$variant" = containerd-1 ]; then
    cri='plugins."io.containerd.grpc.v1.cri"'
    first='version = 2'
  fi
  slot_of "$file"
  if [ -f "$work/$slot.new" ]; then
    config_slot=$slot
    case $(sed -n 's/^[[:space:]]*version[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p' "$work/$slot.new" | head -n 1) in
      # containerd 2 reads the older form too.
      2) cri='plugins."io.containerd.grpc.v1.cri"' ;;
      3) cri='plugins."io.containerd.cri.v1.images"' ;;
      *) fail "$root$file is in the first form of containerd's configuration, which is not known here" "containerd config migrate, or containerd config default, writes it anew" ;;
    esac
    if plain_toml <"$work/$slot.new" | tr -d '"' | grep -q -F "[$(printf '%s' "$cri" | tr -d '"').registry.mirrors"; then
      fail "$root$file has registry.mirrors, beside which containerd allows no hosts.toml" "take those tables out, and run this again"
    fi
    if toml_has "$file" "$cri" registry; then
      fail "$root$file has its registry settings in one line" "write them as a table [$cri.registry], and run this again"
    fi
    # More than one folder may be named.
    certs_d=$(toml_value "$file" "$cri.registry" config_path | cut -d : -f 1)
  fi
  certs_d=${certs_d:-$containerd/certs.d}
  toml_key "$file" "$cri.registry" config_path "\"$certs_d\"" "$first"
  [ -n "$root" ] || [ "$mode" = print ] || containerd_check
}

# What it imports may say otherwise.
containerd_check() {
  command -v containerd >/dev/null 2>&1 || return 0
  slot_of "$file"
  # Names in it that are relative are so to where it lies.
  if grep -q '^[[:space:]]*imports[[:space:]]*=.*[[,][[:space:]]*"[^/"]' "$work/$slot.new"; then return 0; fi
  check containerd --config "$work/$slot.new" config dump
  effective=$(awk '{ line = $0; gsub(/[ \t]/, "", line); gsub(/\047/, "\"", line) }
    line ~ /^\[/ { here = (line ~ /^\[plugins\."io\.containerd\.(grpc\.v1\.cri|cri\.v1\.images)"\.registry\]$/) }
    here && line ~ /^config_path=/ { split(line, parts, "\""); print parts[2]; exit }' "$work/said")
  case $effective: in
    '':* | "$certs_d":*) ;;
    *) fail "what $root$file imports has containerd look for hosts.toml in $effective" "take config_path out there, or set it to $certs_d" ;;
  esac
}

# Mirrors of the same registries that another file sets: the last file in order would win, and each may have its reason.
# containers_others PREFIX...
containers_others() {
  if [ "$mode" = print ]; then return 0; fi
  for folder in "$containers" /etc/containers; do
    for other in "$root$folder/registries.conf" "$root$folder"/registries.conf.d/*.conf; do
      if [ ! -f "$other" ] || [ ! -r "$other" ]; then continue; fi
      case $other in */50-registry-cache.conf) continue ;; esac
      if grep -q '^[[:space:]]*\[registries\.' "$other"; then
        fail "$other has the first form of such files, beside which no other is read" "write unqualified-search-registries = [...] instead of [registries.search]"
      fi
      for prefix in "$@"; do
        if containers_has "$prefix" <"$other" && [ "$replace" = no ]; then
          fail "$other has settings for $prefix already" "merge them by hand with what --print shows; --replace leaves that file, and the later one in order counts"
        fi
      done
    done
  done
}
containers_has() {
  RC_prefix=$1 awk '
    function ends() { if (is && (prefix == "" ? location : prefix) == ENVIRON["RC_prefix"]) found = 1; prefix = ""; location = "" }
    function text(line) { gsub(/\047/, "\"", line); split(line, parts, "\""); return parts[2] }
    { sub(/^[ \t]+/, "") }
    /^\[/ { if ($0 !~ /^\[\[registry\.mirror\]\]/) { ends(); is = ($0 ~ /^\[\[registry\]\]/) } ; isMirror = ($0 ~ /^\[\[registry\.mirror\]\]/) }
    /^prefix[ \t]*=/ && !isMirror { prefix = text($0) }
    /^location[ \t]*=/ && !isMirror { location = text($0) }
    END { ends(); exit !found }'
}

# They are one family, with folders and services of their own.
detect_rancher() {
  if [ -n "$root" ]; then
    if [ -d "$root/etc/rancher/rke2" ]; then found='rke2'; elif [ -d "$root/etc/rancher/k3s" ]; then found='k3s'; fi
  elif [ -d /etc/rancher/rke2 ] || command -v rke2 >/dev/null 2>&1; then
    found='rke2'
  elif [ -d /etc/rancher/k3s ] || command -v k3s >/dev/null 2>&1; then
    found='k3s'
  fi
}

# rancher_service SERVER AGENT: which of them this host runs.
rancher_service() {
  service=$1
  for folder in /etc/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    if [ -f "$folder/$2.service" ] && [ ! -f "$folder/$1.service" ]; then service=$2; fi
  done
  # RKE2's package has both units.
  if [ -d /run/systemd/system ] && systemctl is-enabled --quiet "$2" 2>/dev/null; then service=$2; fi
  restart_command=$(service_command restart "$service")
}
