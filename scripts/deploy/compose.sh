# shellcheck shell=sh
# Docker Compose; read by scripts/deploy.sh.

IMAGE=registry-cache:local
PREVIOUS=registry-cache:previous
READY_SECONDS_MAX=90

# Whether an engine answers and there is a Compose to drive it; sets compose_command, or else compose_lacks and compose_needs.
compose_runs() {
  compose_lacks='no Docker Engine answers'
  compose_needs='install docker and its compose plugin, and start it'
  has docker && docker version --format '{{.Server.Version}}' >/dev/null 2>&1 || return 1
  compose_lacks='a Docker Engine answers, but there is no Compose'
  compose_needs='install the compose plugin of docker, or docker-compose 1.29'
  if docker compose version >/dev/null 2>&1; then
    compose_command='docker compose'
  elif has docker-compose; then
    compose_command=docker-compose
  else
    return 1
  fi
}

# Whether the image can be built, if it has to be; or else sets compose_lacks and compose_needs.
compose_builds() {
  if is_in_env CACHE_IMAGE; then return 0; fi
  # Clients before 23 have BuildKit in them, later ones ask a plugin for it: the client itself knows whether it is there.
  if DOCKER_BUILDKIT=1 docker build --help 2>/dev/null | grep -q -e --secret; then return 0; fi
  compose_lacks='Docker runs here, but cannot build the image: docker build has no BuildKit'
  compose_needs='install the buildx plugin of docker, or name an image that was built elsewhere (CACHE_IMAGE)'
  return 1
}

# Compose in the checkout, whose .env it reads.
compose() {
  # shellcheck disable=SC2086 # two words
  (cd "$root" && $compose_command "$@")
}

compose_container() { compose ps --all --quiet registry-cache 2>/dev/null | head -n 1; }

# Also where an installation did not come to its end.
compose_is_installed() { compose_runs && { [ -n "$(compose_container)" ] || [ -f "$root/etc/.installed" ]; }; }

# What Compose has to be told of the configuration, unless .env or the caller say otherwise.
compose_settings() {
  read_facts
  if [ "$fact_addresses" = several ] && [ -z "${CACHE_LISTEN+set}" ]; then
    fail "the configuration listens on several addresses, or on one with rules of its own, which a container does not have" \
      "METHOD=systemd, or give \`listen\` one address"
  fi
  is_in_env CACHE_PORT || CACHE_PORT=$fact_listen
  case $CACHE_PORT in
    localhost:*) CACHE_PORT=127.0.0.1:${CACHE_PORT#localhost:} ;;
  esac
  export CACHE_PORT
  if [ -n "$fact_data_dir" ] && ! is_in_env CACHE_DATA; then
    CACHE_DATA=$fact_data_dir
    export CACHE_DATA
  fi
  # Files that only their owner may read have to be the container's user's.
  if ! is_in_env CACHE_USER; then
    if [ "$(id -u)" = 0 ]; then CACHE_USER=10001:10001; else CACHE_USER=$(id -u):$(id -g); fi
    export CACHE_USER
  fi
  container_checks
  if [ -n "$fact_acme_port" ] && ! is_in_env COMPOSE_FILE; then
    COMPOSE_FILE=compose.yaml:deploy/compose/acme.yaml
    if [ -f "$root/compose.override.yaml" ]; then COMPOSE_FILE=$COMPOSE_FILE:compose.override.yaml; fi
    export COMPOSE_FILE
  fi
}

# In a container it listens for all, and whoever a port is published to comes from Docker's own networks. With upstreams'
# credentials it wants to be told that strangers are kept out: where only this machine reaches the port, they are.
container_checks() {
  if [ -n "${CACHE_LISTEN+set}" ] || as_in_container; then return 0; fi
  case $CACHE_PORT in
    127.*) ;;
    *) as_in_container show || exit 1 ;;
  esac
  REGISTRY_CACHE_NETWORKS=127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16
  export REGISTRY_CACHE_NETWORKS
  as_in_container show || exit 1
  say "Clients of private networks alone are let in, for the configuration has credentials (REGISTRY_CACHE_NETWORKS says who else)."
}

as_in_container() {
  REGISTRY_CACHE_LISTEN=0.0.0.0:5000 checkout_cache check >/dev/null 2>"$work/container.err" && return 0
  if [ -n "${1-}" ]; then cat "$work/container.err" >&2; fi
  return 1
}

# Whether the environment, or the .env that Compose reads, says something of it.
is_in_env() {
  eval "[ -n \"\${$1-}\" ]" && return 0
  [ -f "$root/.env" ] && grep -q -E "^[[:space:]]*(export[[:space:]]+)?$1=." "$root/.env"
}

# What the environment says of it, or the .env that Compose reads, or else $2.
env_value() {
  eval "value=\${$1-}"
  if [ -z "$value" ] && [ -f "$root/.env" ]; then
    value=$(sed -n "s/^[[:space:]]*\(export[[:space:]]*\)\{0,1\}$1=//p" "$root/.env" | tail -n 1 | tr -d "'\"")
  fi
  printf '%s\n' "${value:-$2}"
}

# By the engine itself: not every Compose can hand over what npm needs to know here, and what is a secret.
compose_build() {
  if is_in_env CACHE_IMAGE; then return 0; fi
  if docker image inspect "$IMAGE" >/dev/null 2>&1; then docker tag "$IMAGE" "$PREVIOUS"; fi
  set -- --tag "$IMAGE" --network "$(env_value CACHE_BUILD_NETWORK default)"
  for name in BUILD_IMAGE RUNTIME_IMAGE; do
    if is_in_env "CACHE_$name"; then set -- "$@" --build-arg "$name=$(env_value "CACHE_$name" '')"; fi
  done
  for name in HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    if is_in_env "$name"; then set -- "$@" --build-arg "$name=$(env_value "$name" '')"; fi
  done
  npmrc=$(npm config get userconfig 2>/dev/null || :)
  authorities=$(npm config get cafile 2>/dev/null || :)
  if [ -f "$npmrc" ]; then set -- "$@" --secret "id=npmrc,src=$npmrc"; fi
  if [ -f "$authorities" ]; then set -- "$@" --secret "id=ca,src=$authorities"; fi
  version=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' "$root/package.json")
  set -- "$@" --build-arg "VERSION=$version"
  if revision=$(git -C "$root" rev-parse HEAD 2>/dev/null); then set -- "$@" --build-arg "REVISION=$revision"; fi
  # Engines before 23 need to be told of BuildKit.
  DOCKER_BUILDKIT=1 docker build "$@" "$root" || fail "the image could not be built; nothing was installed or changed" \
    "it needs its base images and npm's registry (docs/deployment.md names others); METHOD=systemd needs no image"
}

# Waits until the cache in the container says that it is ready; 1 where it does not, or has ended.
compose_ready() {
  waited=0
  while [ "$waited" -lt "$READY_SECONDS_MAX" ]; do
    container=$(compose_container)
    [ -n "$container" ] || return 1
    state=$(docker inspect --format '{{.State.Status}} {{.RestartCount}}' "$container") || return 1
    case $state in
      'running 0') if docker exec "$container" registry-cache health >/dev/null 2>&1; then return 0; fi ;;
      created*) ;;
      *) return 1 ;;
    esac
    sleep 1
    waited=$((waited + 1))
  done
  return 1
}

compose_install() {
  compose_builds || fail "$compose_lacks" "$compose_needs; or METHOD=systemd"
  compose_settings
  # What may fail comes before what is written.
  check_config "$root/etc"
  compose_build
  install_config "$root/etc" "$(if [ "$(id -u)" = 0 ]; then printf '%s' "$CACHE_USER"; fi)"
  if [ -n "${CACHE_DATA-}" ] && [ ! -d "$CACHE_DATA" ]; then
    mkdir -p "$CACHE_DATA"
    if [ "$(id -u)" = 0 ]; then chown "$CACHE_USER" "$CACHE_DATA"; fi
  fi
  before=$(compose_container)
  compose up --detach --no-build
  # What it reads at its start only.
  if [ -n "$before" ] && [ "$config_changed" = yes ] && [ "$before" = "$(compose_container)" ]; then
    compose restart registry-cache
  fi
  if compose_ready; then
    say "Registry Cache runs: $fact_scheme://$CACHE_PORT (make status, make logs)"
    return 0
  fi
  compose logs --tail 20 registry-cache >&2 || :
  if [ -n "$before" ] && ! is_in_env CACHE_IMAGE && docker image inspect "$PREVIOUS" >/dev/null 2>&1; then
    docker tag "$PREVIOUS" "$IMAGE"
    compose up --detach --no-build
    if compose_ready; then fail "the new version did not become ready; the one before it runs again" "its log is above"; fi
  fi
  fail "it did not become ready" "its log is above"
}

compose_upgrade() { compose_install; }

compose_status() { compose ps; }

compose_logs() {
  # shellcheck disable=SC2086 # several words are meant
  compose logs ${ARGS:---tail 100}
}

compose_uninstall() {
  compose down
  docker image rm "$IMAGE" "$PREVIOUS" >/dev/null 2>&1 || :
  say "Removed. Images and the configuration are kept (make destroy removes them too)."
}

compose_destroy() {
  compose_settings
  data=$(env_value CACHE_DATA '')
  case $data in
    /*) ;;
    ./* | ../*) data=$root/$data ;;
    # The name of a volume, which goes with the others.
    *) data= ;;
  esac
  confirm "all cached images${data:+ in $data} and the configuration in $root/etc"
  compose down --volumes
  docker image rm "$IMAGE" "$PREVIOUS" >/dev/null 2>&1 || :
  if [ -n "$data" ]; then remove_data "$data"; fi
  remove_config "$root/etc"
  say "Removed, with all that was cached."
}
