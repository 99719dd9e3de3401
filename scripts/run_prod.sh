#!/usr/bin/env bash
# The appliance in the foreground, as a container's first process: Postgres, gateway, egress, hub, in this order.
#
#   scripts/run_prod.sh                 run until told to stop, or until one of them ends
#   scripts/run_prod.sh COMMAND...      do that instead, as the user that they run as
#   scripts/run_prod.sh --health        ask the hub whether it is alive
#
# The gateway starts first and its port is awaited, then the hub, which brings the database's schema up to date. TERM, INT or
# QUIT stop them in order: the hub, then the gateway, each finishing what is open, then Postgres, cleanly. When one ends by
# itself, the others are stopped in the same order.
#
# Exit codes: 0 asked to stop; 70 the hub ended by itself, 71 the gateway, 72 Postgres, 73 egress; 74 something could not be
# prepared; 75 asked to stop, and something had to be killed; 78 the settings are wrong.
#
#   STOP_SECONDS         all is stopped within these, 9 by default: docker stop kills after 10
#   START_SECONDS        within these the gateway must listen, 60 by default
#   HANG_SECONDS         who gave no sign of life at two looks so far apart is killed, 60 by default
#   MCP_HOST_USER        who root becomes before anything starts; unset: nobody
#   MCP_HOST_ENV_FILE    a file of settings that only root may read; copied into memory for that user
set -euo pipefail

SELF=$(readlink -f -- "${BASH_SOURCE[0]}")
readonly SELF ROOT=${SELF%/scripts/*}
readonly PYTHON=${ROOT}/.venv/bin/python
readonly STOP_SECONDS=${STOP_SECONDS:-9} START_SECONDS=${START_SECONDS:-60} HANG_SECONDS=${HANG_SECONDS:-60}
readonly ENV_FILE=${MCP_HOST_ENV_FILE:-/etc/mcp-host/.env}
readonly NOT_PREPARED=74 WAS_KILLED=75 WRONG_SETTINGS=78

# shellcheck source=lib/prod_user.sh
source "${ROOT}/scripts/lib/prod_user.sh"
# shellcheck source=lib/prod_processes.sh
source "${ROOT}/scripts/lib/prod_processes.sh"

say() {
  printf 'run_prod: %s\n' "$*" >&2
}

# fail CODE TEXT: stop what runs already, and say why.
fail() {
  say "$2"
  stop_all
  exit "$1"
}

usage() {
  sed -n '2,21s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# enter_settings: the working directory is where .env is, and MCP_HOST_ENV_FILE names no other.
enter_settings() {
  unset MCP_HOST_ENV_FILE
  if [[ -r /dev/shm/mcp-host-settings/.env && -n ${MCP_HOST_USER:-} ]]; then
    cd /dev/shm/mcp-host-settings
  elif [[ -r ${ENV_FILE} ]]; then
    export MCP_HOST_ENV_FILE=${ENV_FILE}
    cd -- "${ENV_FILE%/*}"
  fi
}

# find_secret: without a JWT_SECRET, one is made at the first start and kept beside the data.
find_secret() {
  local kept=${DATA_DIR:-/var/lib/mcp-host}/jwt-secret
  if [[ -n ${JWT_SECRET:-} ]] || grep -qs '^JWT_SECRET=.' .env || [[ -n ${MCP_HOST_CONFIG:-} ]]; then
    return
  fi
  if [[ ! -s ${kept} ]]; then
    say "No JWT_SECRET is set: one is made, and kept in ${kept}."
    (umask 077 && "${PYTHON}" -c 'import secrets; print(secrets.token_urlsafe(48))' >"${kept}.new")
    mv -- "${kept}.new" "${kept}"
  fi
  JWT_SECRET=$(<"${kept}")
  export JWT_SECRET
}

# read_settings: as the appliance itself reads them.
read_settings() {
  local values run_dir
  if [[ ! -d ${ROOT}/appliance/gateway && -z ${GATEWAY_SKIP_START:-} ]]; then
    say 'This image was built without the gateway; the one at MCP_GATEWAY_URL is used.'
    export GATEWAY_SKIP_START=1
  fi
  if ! values=$("${PYTHON}" -P -c '
import sys
from urllib.parse import urlsplit
from appliance.settings import SettingsError, load_settings
try:
    found = load_settings()
except SettingsError as error:
    sys.exit(str(error))
address = found.gateway_bind_address
print({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address), urlsplit(found.mcp_gateway_url).port or 80, sep="\n")
print(found.database_url is None, not found.gateway_skip_start, not found.egress_skip_start, found.proxy_enabled, found.run_dir.absolute(), sep="\n")'); then
    exit "${WRONG_SETTINGS}"
  fi
  {
    read -r GATEWAY_HOST
    read -r GATEWAY_PORT
    read -r WITH_POSTGRES
    read -r WITH_GATEWAY
    read -r WITH_EGRESS
    read -r WITH_PROXY
    read -r run_dir
  } <<<"${values}"
  BEATS=${run_dir}/beats SOCKET=${run_dir}/postgres/.s.PGSQL.5432
  if [[ ${WITH_PROXY} == True ]]; then
    say 'Warning: PROXY_ENABLED is not for containers. Nginx does not run here; put a proxy before the container.'
  fi
}

run() {
  local code
  find_secret
  read_settings
  shorten_patience
  silence
  forget_beats
  trap 'ASKED=TERM' TERM
  trap 'ASKED=INT' INT
  trap 'ASKED=QUIT' QUIT
  start_all
  watch
  if [[ -n ${ENDED} ]]; then
    code=$(code_of "${ENDED}")
    fail "${code}" "${ENDED} ended by itself; stopping the others."
  fi
  say "SIG${ASKED} came; stopping."
  stop_all
  [[ ${KILLED} == no ]] || exit "${WAS_KILLED}"
}

main() {
  case ${1:-} in
    --health)
      health
      return
      ;;
    -h | --help)
      usage
      return
      ;;
    *) ;;
  esac
  become_user "$@"
  enter_settings
  if (($# > 0)); then
    if [[ $1 == mcp-host ]]; then
      find_secret
    fi
    PATH=${ROOT}/.venv/bin:${PATH} exec "$@"
  fi
  run
}

main "$@"
