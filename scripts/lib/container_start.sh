# shellcheck shell=bash
# Before and after run_container.sh starts the container.

readonly HEALTHY_S=120 EMULATED_S=900

# check_option OPTION VALUE
check_option() {
  case $1 in
    -i | --image) check_image "$1" "$2" ;;
    -t | --tag) check_tag "$1" "$2" ;;
    --name) check_name "$1" "$2" ;;
    --app-port | --gw-port) check_port "$1" "$2" ;;
    --env-file | --ca-bundle) check_file "$1" "$2" ;;
    --data-volume | --gw-volume) check_volume "$1" "$2" ;;
    --network) [[ $2 == host || $2 == bridge ]] || die "--network is host or bridge, not $2." ;;
    --engine-socket) [[ -S $2 ]] || die "--engine-socket names no socket: $2" 'Is the engine running?' ;;
    *) return 1 ;;
  esac
}

# check_volume OPTION VALUE: a volume's name, or a directory by its whole path.
check_volume() {
  if [[ $2 != /* ]]; then
    check_name "$1" "$2"
  elif [[ $2 == *[,:]* ]]; then
    die "$1 names a directory with a comma or a colon in its path: $2" 'Docker cannot be told of it; choose another.'
  fi
}

# check_together: what one option asks of another.
check_together() {
  if [[ ${skip_gateway} == yes ]]; then
    [[ -z ${gw_port} ]] || die '--gw-port and --skip-gateway exclude each other.' 'The port is that of the gateway that is not started.'
    has_setting MCP_GATEWAY_URL || die '--skip-gateway needs to know which gateway to use.' \
      'Put MCP_GATEWAY_URL into the file that --env-file names.'
    has_setting DATABASE_URL || note 'That gateway must read the same Postgres; DATABASE_URL is not among the settings.'
  elif [[ ${app_port} == "${gw_port:-${GATEWAY}}" ]]; then
    die "--app-port and --gw-port are both ${app_port}."
  fi
  if [[ ${egress} == yes && ${network} == bridge ]]; then
    die '--egress needs --network host.' "From a network of its own the container cannot see what servers' networks send."
  fi
}

# has_setting NAME
has_setting() {
  [[ -n ${env_file} ]] && grep -q "^$1=." "${env_file}"
}

# add_networking: on the box's own network the programs listen at the ports themselves; else docker leads there.
add_networking() {
  if [[ ${network} == host ]]; then
    options+=(--network host --env "BIND_PORT=${app_port}")
    if [[ -n ${gw_port} ]]; then
      options+=(--env "MCP_GATEWAY_URL=http://127.0.0.1:${gw_port}")
    fi
    return
  fi
  options+=(
    --network bridge --publish "${app_port}:${HUB}" --env "BIND_PORT=${HUB}"
    --env BIND_ADDRESS=0.0.0.0 --env GATEWAY_BIND_ADDRESS=0.0.0.0
  )
  if [[ ${skip_gateway} == no ]]; then
    options+=(--publish "${gw_port:-${GATEWAY}}:${GATEWAY}" --env "MCP_GATEWAY_URL=http://127.0.0.1:${GATEWAY}")
    if ! has_setting GATEWAY_PUBLIC_URL; then
      options+=(--env "GATEWAY_PUBLIC_URL=http://127.0.0.1:${gw_port:-${GATEWAY}}")
    fi
  fi
}

# add_patience: an image of another platform is emulated, and everything in it takes ten times as long.
add_patience() {
  local found own
  found=$(docker image inspect --format '{{.Architecture}}' "${image}:${tag}" 2>/dev/null) || return 0
  own=$(own_architecture)
  healthy_s=${HEALTHY_S}
  if [[ ${found} != "${own}" ]]; then
    healthy_s=${EMULATED_S}
    options+=(--platform "linux/${found}" --env "START_SECONDS=${EMULATED_S}" --env "HANG_SECONDS=${EMULATED_S}")
    note "The image is for linux/${found}: it is emulated here, and slow."
  fi
}

# check_box: what would otherwise fail in the container's log, or with docker's words.
check_box() {
  local port
  docker image inspect "${image}:${tag}" >/dev/null 2>&1 || die "There is no image ${image}:${tag} on this box." \
    'scripts/build_container.sh builds it; --image and --tag name another.'
  if docker container inspect "${name}" >/dev/null 2>&1; then
    die "There is a container ${name} already." "Remove it (docker stop ${name} && docker rm ${name}; its volumes stay)," \
      'or choose another --name.'
  fi
  [[ -S ${engine_socket} ]] || die "The engine's socket is not at ${engine_socket}." 'Name it with --engine-socket.'
  if is_taken "${app_port}"; then
    die "Port ${app_port} is taken on this box." 'Choose another with --app-port.'
  fi
  port=${gw_port:-${GATEWAY}}
  if [[ ${skip_gateway} == no ]] && is_taken "${port}"; then
    die "Port ${port} is taken on this box." 'Choose another with --gw-port.'
  fi
}

is_taken() {
  (exec {probe}<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# await_health: until the image's own check is content.
await_health() {
  local deadline=$((SECONDS + healthy_s)) status
  step 'Waiting until it answers'
  while :; do
    status=$(docker inspect --format '{{.State.Status}} {{.State.Health.Status}} {{.State.ExitCode}}' "${name}")
    case ${status} in
      'running healthy '*) return ;;
      running*)
        # Docker asks every ten seconds; there is no need to wait for that.
        if docker exec "${name}" /opt/mcp-host/scripts/run_prod.sh --health 2>/dev/null; then
          return
        fi
        ;;
      *)
        docker logs --tail 20 "${name}" >&2
        die "It ended with exit code ${status##* }." 'The lines above say why; docs/container.md says what the codes mean.' \
          "docker rm ${name} removes what is left of it; its volumes stay."
        ;;
    esac
    if ((SECONDS >= deadline)); then
      docker logs --tail 20 "${name}" >&2
      die "It did not answer within ${healthy_s} seconds." "docker logs ${name} shows what it says."
    fi
    sleep 0.5
  done
}

tell() {
  note "Pages and API: http://127.0.0.1:${app_port}"
  if [[ ${skip_gateway} == no ]]; then
    note "Gateway:       http://127.0.0.1:${gw_port:-${GATEWAY}}"
  fi
  if [[ ${egress} == no ]]; then
    note 'Hosted servers reach nothing by way of the network: that takes --egress.'
  fi
  note "The first administrator: docker exec ${name} mcp-host user create --admin --email you@example.org"
  note "Logs: docker logs -f ${name}"
}
