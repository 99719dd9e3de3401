#!/usr/bin/env bash
# Gives this box the isolation tier "sandboxed": installs gVisor's runsc and tells the container engine of it.
#
#   scripts/install_gvisor.sh            install, register, check; what is there already is kept
#   scripts/install_gvisor.sh remove     take it from the engine's settings again; the program stays
#
# The engine is not restarted and no container is touched: it reads its settings again.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly ROOT=${PWD}
# shellcheck source=lib/setup.sh
source "${ROOT}/scripts/lib/setup.sh"

readonly RUNSC=/usr/local/bin/runsc
readonly ENGINE_PID=/var/run/docker.pid
readonly DAEMON_JSON=/etc/docker/daemon.json
# Where Debian has it for the release that servers' base images are not of, but every box can run: it is one static program.
readonly SUITE=bookworm-backports
readonly RELOAD_S=10

main() {
  case ${1:-install} in
    install)
      install_runsc
      register add
      reload yes
      ;;
    remove)
      register drop
      reload no
      ;;
    *)
      sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
      exit 2
      ;;
  esac
}

install_runsc() {
  is_root || die 'This installs a program and changes the settings of the engine.' 'Run it as root.'
  if [[ -x ${RUNSC} ]]; then
    note "${RUNSC} is there already."
    return
  fi
  step 'Fetching runsc, that one program alone'
  local unpacked architecture
  architecture=$(dpkg --print-architecture)
  unpacked=$(mktemp -d)
  unpack_deb runsc "${SUITE}" "${architecture}" "${unpacked}"
  install -m 755 "${unpacked}/usr/bin/runsc" "${RUNSC}"
  rm -rf -- "${unpacked}"
}

# register add|drop: only this one entry; the rest of the engine's settings stays as it is.
register() {
  local -a arguments=(--platform=systrap) # needs neither KVM nor ptrace
  local mistaken
  mistaken=$(takes_every_network_for_the_boxs)
  if [[ ${mistaken} == yes ]]; then
    note 'On this kernel this runsc takes every network for that of the box and refuses to start, so servers in it use the'
    note "kernel's network stack, inside the network of their own container."
    arguments+=(--network=host)
  fi
  step "Telling the engine, in ${DAEMON_JSON}"
  python3 - "$1" "${DAEMON_JSON}" "${RUNSC}" "${arguments[@]}" <<'PYTHON'
import json
import os
import pathlib
import sys

what, path, runsc, *arguments = sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:]
settings = json.loads(path.read_text()) if path.exists() and path.read_text().strip() else {}
runtimes = settings.setdefault("runtimes", {})
if what == "add":
    runtimes["runsc"] = {"path": runsc, "runtimeArgs": arguments}
else:
    runtimes.pop("runsc", None)
if not runtimes:
    del settings["runtimes"]
path.parent.mkdir(parents=True, exist_ok=True)
new = path.with_suffix(".new")
new.write_text(json.dumps(settings, indent=2) + "\n")
os.replace(new, path)
PYTHON
}

# takes_every_network_for_the_boxs: yes or no, by the file that runsc looks for. Newer kernels give every network that file.
takes_every_network_for_the_boxs() {
  if ! grep -aq /proc/sys/net/core/dev_weight "${RUNSC}" && unshare --net test -e /proc/sys/net/core/rmem_default; then
    echo yes
  else
    echo no
  fi
}

# reload yes|no: have the engine read its settings, and wait until it has runsc, or has it no longer.
reload() {
  local pid
  if has_systemd; then
    systemctl reload docker
  else
    [[ -r ${ENGINE_PID} ]] || die 'No engine runs on this box.' 'Start it, and it reads its settings by itself.'
    pid=$(<"${ENGINE_PID}")
    kill -HUP "${pid}"
  fi
  local deadline=$((SECONDS + RELOAD_S)) found
  while :; do
    found=no
    if docker info --format '{{range $name, $_ := .Runtimes}}{{$name}} {{end}}' | grep -qw runsc; then
      found=yes
    fi
    [[ ${found} == "$1" ]] && break
    if ((SECONDS >= deadline)); then
      die 'The engine did not take the change.' 'Its log says why: journalctl -u docker, or /var/log/mcp-host-dockerd.log.'
    fi
    sleep 0.2
  done
  if [[ $1 == yes ]]; then
    note 'Servers can be given the tier "sandboxed" now.'
  fi
}

main "$@"
