# shellcheck shell=bash
# The Docker engine and buildx, where they are missing or do not run.

readonly ENGINE_START_S=60
readonly ENGINE_LOG=/var/log/mcp-host-dockerd.log

# start_engine: through systemd where there is one, else by hand. Called only where no engine answered at first.
start_engine() {
  step 'Starting the Docker engine'
  if [[ ! -w /proc/sys/net/ipv4/ip_forward ]]; then
    leave_ipv6_alone
  fi
  if has_systemd; then
    # Restarted, because apt has started it before it was told about this box. Nothing ran on it before.
    quietly engine systemctl enable docker
    quietly engine systemctl restart docker
  else
    # A session of its own, so that it outlives this script and its terminal.
    setsid --fork dockerd >>"${ENGINE_LOG}" 2>&1 </dev/null
    note "There is no systemd, so it is started by hand; its log is ${ENGINE_LOG}."
  fi
  await_engine
}

# leave_ipv6_alone: a box that is itself a container may not change kernel settings, and from version 26 on the engine
# starts no container where it cannot switch IPv6 off on the container's interface, unless told that this may fail.
leave_ipv6_alone() {
  export DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1
  note 'This box may not change kernel settings, so the engine leaves IPv6 as it is.'
  if has_systemd; then
    local drop_in=/etc/systemd/system/docker.service.d/mcp-host.conf
    mkdir -p "${drop_in%/*}"
    printf '[Service]\nEnvironment=DOCKER_ALLOW_IPV6_ON_IPV4_INTERFACE=1\n' >"${drop_in}"
    quietly engine systemctl daemon-reload
  fi
}

await_engine() {
  local deadline=$((SECONDS + ENGINE_START_S))
  until engine_answers; do
    if ((SECONDS >= deadline)); then
      if [[ -r ${ENGINE_LOG} ]]; then
        tail -n 20 -- "${ENGINE_LOG}" >&2
      fi
      die "The Docker engine did not answer within ${ENGINE_START_S} seconds." \
        'Its log says why: the lines above, or journalctl -u docker.'
    fi
    sleep 0.5
  done
}

# install_buildx: the one program out of a newer Debian's package; Debian 12 has no package of it.
install_buildx() {
  local architecture unpacked
  architecture=$(dpkg --print-architecture)
  step 'Fetching docker buildx from the next Debian release, that one program alone'
  unpacked=$(mktemp -d)
  unpack_deb docker-buildx trixie "${architecture}" "${unpacked}"
  install -D -m 755 "${unpacked}/usr/libexec/docker/cli-plugins/docker-buildx" \
    /usr/local/lib/docker/cli-plugins/docker-buildx
  rm -rf -- "${unpacked}"
}
