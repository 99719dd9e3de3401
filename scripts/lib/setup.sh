# shellcheck shell=bash
# Brings a box to where the appliance can run: says what is missing, installs it, starts the engine.

# shellcheck source=say.sh
source "${ROOT}/scripts/lib/say.sh"
# shellcheck source=requirements.sh
source "${ROOT}/scripts/lib/requirements.sh"
# shellcheck source=engine.sh
source "${ROOT}/scripts/lib/engine.sh"
# shellcheck source=debs.sh
source "${ROOT}/scripts/lib/debs.sh"
# shellcheck source=emulation.sh
source "${ROOT}/scripts/lib/emulation.sh"
# shellcheck source=registry.sh
source "${ROOT}/scripts/lib/registry.sh"
# shellcheck source=python.sh
source "${ROOT}/scripts/lib/python.sh"

# prepare_box yes|no NEED...: with yes, make what is missing be there; with no, refuse.
prepare_box() {
  local install=$1 need what
  shift
  if (($# == 0)); then
    return
  fi
  step 'Missing on this box:'
  for need in "$@"; do
    what=$(reason "${need}")
    note "- ${what}"
  done
  [[ ${install} == yes ]] || die 'Nothing was installed, as --no-install asks.' \
    'Install what is listed above and run this again, or leave the option away.'
  is_root || die 'Only root can install or start these.' \
    'Run this as root once. Where Docker runs already, this user must be in the group docker.'
  has apt-get || die 'This is neither Debian nor Ubuntu, so the script cannot install these.' \
    'Install what is listed above and run this again.'
  install_needs "$@"
  if [[ " $* " == *' engine '* ]]; then
    start_engine
  fi
  if ! docker buildx version >/dev/null 2>&1; then
    install_buildx
  fi
  for need in "$@"; do
    case ${need} in
      emulation:*) enable_emulation "${need#*:}" ;;
      busybox:*) fetch_busybox "${need#*:}" ;;
      docker-registry) keep_idle docker-registry ;;
      redis-server) keep_idle redis-server ;;
      nginx) keep_idle nginx ;;
      sshd) keep_idle ssh ;;
      gvisor) scripts/install_gvisor.sh ;;
      *) ;;
    esac
  done
}

# keep_idle SERVICE: we start one of our own; nobody needs the one that the package has just started, and its ports.
# A box may forbid its packages to start anything (policy-rc.d), and some of these scripts fail where nothing runs.
keep_idle() {
  if has_systemd; then
    quietly idle systemctl disable --now "$1"
  elif [[ -x /etc/init.d/$1 ]] && "/etc/init.d/$1" status >/dev/null 2>&1; then
    quietly idle "/etc/init.d/$1" stop
  fi
}

install_needs() {
  local need packages=''
  if [[ "$*" == engine ]] && has dockerd; then
    return # to be started only
  fi
  step 'Asking the package mirror what it has'
  quietly apt apt-get -o DPkg::Lock::Timeout=120 update
  for need in "$@"; do
    packages+=" $(packages_for "${need}")"
  done
  local -a list
  read -r -d '' -a list <<<"${packages}" || true # there is no closing NUL, which read calls a failure
  if ((${#list[@]} > 0)); then
    step "Installing with apt: ${list[*]}"
    DEBIAN_FRONTEND=noninteractive quietly apt \
      apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "${list[@]}"
  fi
}
