# shellcheck shell=bash
# Who the appliance runs as in a container: root owns the volumes at first, and should own nothing that runs.

# Capability NET_ADMIN in the kernel's bit fields.
readonly NET_ADMIN=$((1 << 12))

# become_user: root gives the volumes to the appliance's user, and is root no more. NET_ADMIN is kept where there is any, for
# egress alone.
become_user() {
  local user=${MCP_HOST_USER:-} directory keep=-all socket groups
  if [[ -z ${user} ]] || ((EUID != 0)); then
    return
  fi
  for directory in "${DATA_DIR:-/var/lib/mcp-host}" "${RUN_DIR:-/run/mcp-host}" ${SECRETS_DELIVERY_DIR:+"${SECRETS_DELIVERY_DIR}"}; do
    if ! own "${user}" "${directory}"; then
      say "${directory} cannot be given to the user ${user}: it is a volume that only another user may write to."
      exit "${NOT_PREPARED}"
    fi
  done
  copy_settings "${user}"
  groups=$(id -g -- "${user}")
  socket=$(engine_socket)
  if [[ -S ${socket} ]]; then
    groups+=,$(stat -L -c %g -- "${socket}")
  fi
  if may_administer_network CapBnd; then
    keep=-all,+net_admin
  fi
  exec setpriv --reuid="${user}" --regid="$(id -g -- "${user}")" --groups="${groups}" --no-new-privs \
    --bounding-set="${keep}" --inh-caps="${keep}" --ambient-caps="${keep}" -- "${SELF}" "$@"
}

# own USER DIRECTORY: make it, and give it and all that root made in it to the user, unless it is theirs already.
own() {
  local owner
  mkdir -p -- "$2" && owner=$(stat -c %U -- "$2") || return
  [[ ${owner} == "$1" ]] || { find "$2" -xdev -user root -exec chown -h -- "$1:" {} + && chown -- "$1:" "$2"; }
}

# copy_settings USER: the file may be root's alone outside, and must not lie on a disk in here.
copy_settings() {
  if [[ -r ${ENV_FILE} ]]; then
    install -d -o "$1" -m 700 /dev/shm/mcp-host-settings
    install -o "$1" -m 400 -- "${ENV_FILE}" /dev/shm/mcp-host-settings/.env
  fi
}

engine_socket() {
  local address=${DOCKER_HOST:-unix:///var/run/docker.sock}
  printf '%s\n' "${address#unix://}"
}

# may_administer_network SET: whether NET_ADMIN is in one of the kernel's sets of this process.
may_administer_network() {
  local mask
  mask=$(sed -n "s/^$1:[[:space:]]*//p" /proc/self/status)
  (((16#${mask} & NET_ADMIN) != 0))
}
