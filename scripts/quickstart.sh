#!/usr/bin/env bash
# From nothing to a hosted MCP server that answers: sets up, starts the appliance, hosts a server, calls a tool.
#
#   scripts/quickstart.sh [OPTIONS] [start]   the whole way; what is there already is kept
#   scripts/quickstart.sh status              how every process is
#   scripts/quickstart.sh stop                stop the appliance and the servers it hosts; data stays
#   scripts/quickstart.sh remove [--yes]      stop it and delete its servers, data and settings
#
# Options:
#   --package SPEC   host this package instead of pypi:mcp-server-time, such as npm:@modelcontextprotocol/server-everything
#   --git URL        host a git repository
#   --image REF      host a ready image
#   --no-install     install nothing: say what is missing and stop
#
# ADMIN_EMAIL in the environment names the first administrator.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly ROOT=${PWD}
# shellcheck source=lib/setup.sh
source "${ROOT}/scripts/lib/setup.sh"
# shellcheck source=lib/appliance.sh
source "${ROOT}/scripts/lib/appliance.sh"
# shellcheck source=lib/remains.sh
source "${ROOT}/scripts/lib/remains.sh"

readonly DEFAULT_PACKAGE=pypi:mcp-server-time
install=yes
confirmed=no
source_kind=package
source_value=${DEFAULT_PACKAGE}
is_new=yes

usage() {
  sed -n '2,16s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

start() {
  local found
  local -a missing
  found=$(needs)
  read -r -d '' -a missing <<<"${found}" || true # there is no closing NUL, which read calls a failure
  prepare_box "${install}" "${missing[@]}"
  make_venv runtime
  write_env
  read_settings
  start_appliance
  sign_in
  host_server
  call_server
}

# server_name: from what is hosted, so that a second run finds it again.
server_name() {
  "${VENV}/bin/python" - "${source_kind}" "${source_value}" <<'PYTHON'
import re
import sys

kind, value = sys.argv[1:]
if kind == "package":
    value = re.sub(r"^[a-z]+:", "", value)  # the registry
    value = re.sub(r"(?<=.)(@|==).*$", "", value)  # the version
value = value.rstrip("/").removesuffix(".git").rsplit("/", 1)[-1]
if kind == "image":
    value = re.split(r"[:@]", value)[0]
print(re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:60])
PYTHON
}

host_server() {
  name=$(server_name)
  if "${MCPCTL}" servers show "${name}" >/dev/null 2>&1; then
    step "The server ${name} is there already; making sure that it runs"
    "${MCPCTL}" servers start "${name}" --wait --json >/dev/null
    is_new=no
    return
  fi
  step "Hosting ${source_value} as ${name}"
  "${MCPCTL}" servers create "${name}" "--${source_kind}" "${source_value}" --wait
}

call_server() {
  local shown endpoint key
  local -a call=()
  shown=$("${MCPCTL}" servers show "${name}" --json)
  endpoint=$(json_field endpoint <<<"${shown}")
  if [[ ${source_value} == "${DEFAULT_PACKAGE}" ]]; then
    call=(get_current_time '{"timezone": "Europe/Paris"}')
  fi
  key=${MCPCTL_API_KEY:-}
  if [[ -z ${key} ]]; then
    # The key that mcpctl keeps also opens the endpoints of its owner's servers.
    key=$(json_field api_key <"${XDG_CONFIG_HOME:-${HOME}/.config}/mcpctl/config.json")
  fi
  step "Calling it through the gateway, as an MCP client does: ${endpoint}"
  MCP_KEY=${key} "${VENV}/bin/python" scripts/lib/mcp_call.py "${endpoint}" "${call[@]}"
  if [[ ${is_new} == no ]]; then
    # A new server's snippet was shown with its key, this once; the key is kept as a hash only.
    step "For an MCP client (a new key, if it is lost: ${MCPCTL} servers key ${name})"
    "${MCPCTL}" servers connect "${name}"
  fi
  step "Its page: ${HUB_URL}/servers/${name}"
  note 'The appliance goes on running; stop it with: scripts/quickstart.sh stop'
}

stop() {
  require_set_up
  "${MCP_HOST}" down >&2
  read_settings
  if [[ -r ${DATA_DIR}/installation-id ]]; then
    stop_hosted
  fi
}

# remove: what apt installed and the virtual environment stay; everything that this installation made goes.
remove() {
  require_set_up
  read_settings
  [[ -r ${DATA_DIR}/installation-id ]] || die "${DATA_DIR} holds no installation, so nothing was removed."
  if [[ ${confirmed} == no ]]; then
    [[ -t 0 ]] || die 'Removing everything must be confirmed.' 'Add --yes if you mean it.'
    read -r -p "Delete every hosted server, ${DATA_DIR} and .env? There is no way back. [y/N] " answer
    [[ ${answer} == [yY]* ]] || die 'Nothing was removed.'
  fi
  stop
  remove_hosted
  # As another user than root there are none.
  "${MCP_HOST}" egress --remove >/dev/null 2>&1 || note 'The firewall was not asked for its rules: that takes root and nft.'
  remove_hosted_data
  delete_state
}

status() {
  require_set_up
  "${MCP_HOST}" status
}

require_set_up() {
  [[ -x ${MCP_HOST} && -e .env ]] || die 'Nothing is set up here yet.' 'Run scripts/quickstart.sh'
}

main() {
  local verb=start
  while (($# > 0)); do
    case $1 in
      --no-install) install=no ;;
      --yes) confirmed=yes ;;
      --package | --git | --image)
        (($# > 1)) || die "$1 needs a value." 'scripts/quickstart.sh --help shows the options.'
        source_kind=${1#--}
        source_value=$2
        shift
        ;;
      -h | --help)
        usage
        return
        ;;
      start | stop | status | remove) verb=$1 ;;
      *) die "Unknown argument: $1" 'scripts/quickstart.sh --help shows what there is.' ;;
    esac
    shift
  done
  "${verb}"
}

main "$@"
