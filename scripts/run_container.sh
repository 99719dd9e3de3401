#!/usr/bin/env bash
# Starts the appliance's container image and waits until it answers.
#
#   scripts/run_container.sh [OPTIONS]
#
#   -i, --image NAME        mcp-host unless given
#   -t, --tag TAG           latest unless given
#   --name NAME             of the container; mcp-host unless given. Volumes are named for it
#   --app-port PORT         where the hub is reached on this box; 3000 unless given
#   --gw-port PORT          where the gateway is reached; 4444 unless given
#   --skip-gateway          do not start the gateway; the settings must name another in MCP_GATEWAY_URL
#   --env-file PATH         settings. The file is mounted, not passed on: docker inspect does not show what is in it
#   --data-volume NAME      a volume or a directory for all that must survive; NAME-data unless given
#   --gw-volume NAME        a volume or a directory for what the gateway must not lose; NAME-gateway unless given
#   --network host|bridge   host unless given. With bridge only servers that speak stdio can be reached
#   --egress                let hosted servers reach what they may: gives the container the capability NET_ADMIN
#   --engine-socket PATH    of the engine that runs hosted servers; /var/run/docker.sock unless given
#   --ca-bundle FILE        certificates that it trusts, and that its builds trust
#   --dry-run               print the command, and start nothing
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly ROOT=${PWD}
# shellcheck source=lib/say.sh
source "${ROOT}/scripts/lib/say.sh"
# shellcheck source=lib/container_options.sh
source "${ROOT}/scripts/lib/container_options.sh"
# shellcheck source=lib/container_start.sh
source "${ROOT}/scripts/lib/container_start.sh"

# In the container.
readonly DATA=/var/lib/mcp-host GATEWAY_STATE=/run/mcp-host SETTINGS=/etc/mcp-host/.env HUB=3000 GATEWAY=4444
# How long docker stop waits, and of it how long the appliance takes at most.
readonly STOP_S=60 OWN_STOP_S=55
image=mcp-host
tag=latest
name=mcp-host
app_port=${HUB}
gw_port=''
skip_gateway=no
env_file=''
data_volume=''
gw_volume=''
network=host
egress=no
engine_socket=/var/run/docker.sock
ca_bundle=''
dry_run=no

usage() {
  sed -n '2,20s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

read_options() {
  while (($# > 0)); do
    case $1 in
      --skip-gateway) skip_gateway=yes ;;
      --egress) egress=yes ;;
      --dry-run) dry_run=yes ;;
      -h | --help)
        usage
        exit 0
        ;;
      -i | --image | -t | --tag | --name | --app-port | --gw-port | --env-file | --data-volume | --gw-volume | --network | \
        --engine-socket | --ca-bundle)
        need_value "$@"
        check_option "$1" "$2"
        take "$1" "$2"
        shift
        ;;
      *) die "Unknown option: $1" 'scripts/run_container.sh --help shows what there is.' ;;
    esac
    shift
  done
}

# take OPTION VALUE: once it was found to be what the option takes.
take() {
  case $1 in
    -i | --image) image=$2 ;;
    -t | --tag) tag=$2 ;;
    --name) name=$2 ;;
    --app-port) app_port=$2 ;;
    --gw-port) gw_port=$2 ;;
    --env-file) env_file=$(realpath -- "$2") ;;
    --data-volume) data_volume=$2 ;;
    --gw-volume) gw_volume=$2 ;;
    --network) network=$2 ;;
    --engine-socket) engine_socket=$2 ;;
    --ca-bundle) ca_bundle=$(realpath -- "$2") ;;
    *) return 1 ;;
  esac
}

# add_places: what of this box is seen inside. Secrets of servers lie in memory that the engine can mount, so by the path that
# it has on this box.
add_places() {
  local secrets=/dev/shm/${name}-secrets
  options+=(
    --volume "${data_volume:-${name}-data}:${DATA}" --volume "${gw_volume:-${name}-gateway}:${GATEWAY_STATE}"
    --volume "${engine_socket}:/var/run/docker.sock" --volume "${secrets}:${secrets}" --env "SECRETS_DELIVERY_DIR=${secrets}"
  )
  if [[ -n ${env_file} ]]; then
    options+=(--volume "${env_file}:${SETTINGS}:ro")
  fi
  if [[ -n ${ca_bundle} ]]; then
    options+=(--volume "${ca_bundle}:/etc/ssl/certs/ca-certificates.crt:ro")
  fi
}

# add_rights: as few as the entry needs, which gives the volumes to the appliance's user and then becomes that user.
add_rights() {
  local right
  options+=(--cap-drop ALL)
  for right in CHOWN DAC_OVERRIDE FOWNER SETUID SETGID SETPCAP; do
    options+=(--cap-add "${right}")
  done
  if [[ ${egress} == yes ]]; then
    options+=(--cap-add NET_ADMIN)
  fi
  options+=(--security-opt no-new-privileges --read-only --tmpfs /tmp)
}

start() {
  local -a options=(--detach --name "${name}" --restart unless-stopped --stop-timeout "${STOP_S}" --env "STOP_SECONDS=${OWN_STOP_S}")
  local healthy_s
  add_networking
  add_places
  add_rights
  add_patience
  if [[ ${skip_gateway} == yes ]]; then
    options+=(--env GATEWAY_SKIP_START=1)
  fi
  show docker run "${options[@]}" "${image}:${tag}"
  if [[ ${dry_run} == yes ]]; then
    return
  fi
  check_box
  docker run "${options[@]}" "${image}:${tag}" >/dev/null
  await_health
  tell
}

main() {
  read_options "$@"
  check_together
  if [[ ${dry_run} == no ]]; then
    need_engine
  fi
  start
}

main "$@"
