# What a client on this host is, as far as its settings depend on it: each sets $found to a variant, or leaves it empty.

# Of Docker Engine it is the image store that matters: graph drivers ask mirrors for Docker Hub alone and read no hosts.toml.
detect_docker() {
  docker_major=
  if [ -n "$root" ]; then return 0; fi
  said=$(docker info --format '{{.ServerVersion}} {{.DriverStatus}}' 2>/dev/null || true)
  case $said in
    [0-9]*io.containerd.snapshotter*) found='containerd-store' ;;
    [0-9]*) found='graph-drivers' ;;
    *)
      # It does not run, so that nobody can say what it has stored in.
      said=$(dockerd --version 2>/dev/null | sed -n 's/^Docker version //p' || true)
      ;;
  esac
  docker_major=$(printf '%s\n' "$said" | sed -n 's/^\([0-9][0-9]*\)\..*/\1/p')
  if [ -z "$found" ] && [ "${docker_major:-0}" -ge 29 ] && [ ! -d /var/lib/docker/overlay2 ]; then found='containerd-store'; fi
}

# docker_at_least MAJOR WHAT HINT
docker_at_least() {
  if [ -n "$docker_major" ] && [ "$docker_major" -lt "$1" ]; then fail "Docker Engine $docker_major does not take $2" "$3"; fi
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
  cri='plugins."io.containerd.cri.v1.images".registry'
  first='version = 3'
  if [ "$variant" = containerd-1 ]; then
    cri='plugins."io.containerd.grpc.v1.cri".registry'
    first='version = 2'
  fi
  if [ -f "$root$file" ] && [ "$mode" != print ]; then
    case $(sed -n 's/^[[:space:]]*version[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p' "$root$file" | head -n 1) in
      # containerd 2 reads the older form too.
      2) cri='plugins."io.containerd.grpc.v1.cri".registry' ;;
      3) ;;
      *) fail "$root$file is in a form that containerd has given up (version 1)" "containerd config migrate, or containerd config default, writes it anew" ;;
    esac
    if plain_toml <"$root$file" | grep -q -F "[$cri.mirrors"; then
      fail "$root$file has registry.mirrors, beside which containerd allows no hosts.toml" "take those tables out, and run this again"
    fi
    # More than one folder may be named.
    certs_d=$(toml_value "$file" "$cri" config_path | cut -d : -f 1)
  fi
  certs_d=${certs_d:-$containerd/certs.d}
  toml_key "$file" "$cri" config_path "\"$certs_d\"" "$first"
  if [ -z "$root" ] && [ "$mode" != print ]; then check containerd --config "$(new_of "$file")" config dump; fi
}

detect_none() { :; }
