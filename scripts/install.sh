#!/usr/bin/env bash
# Installs MCP Host on this box: Debian 12 and 13, Ubuntu, with systemd. Done again it changes nothing.
#
#   scripts/install.sh [OPTIONS]
#
#   --public-url URL      where people reach this box, such as https://mcp.example.org; unset: https:// and this box's name
#   --base-domain NAME    gives each server <name>.NAME
#   --acme-email ADDRESS  order certificates in this name; without it the box signs its own
#   --acme-directory URL  of another certificate authority than Let's Encrypt
#   --no-proxy            no Nginx and no certificates: hub and gateway listen in clear
#   --arm64               run programs of arm64, too, by emulation, for images of both kinds
#   --containerd-images   have a newly installed engine keep images in containerd's store
#   --admin-email ADDRESS of the first administrator
#   --source PATH         install from there instead of this checkout
#   --no-systemd          install, and say how to start it by hand
#   --dry-run             print each thing that would be done, and change nothing
#   --yes                 do not ask
#
#   scripts/install.sh --uninstall [--purge] [--yes]
#
# --uninstall stops it and removes the program; data and settings stay. --purge removes these as well, with every hosted server.
# docs/install.md says what is put where.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly ROOT=${PWD}
# shellcheck source=lib/setup.sh
source "${ROOT}/scripts/lib/setup.sh"
# shellcheck source=lib/release.sh
source "${ROOT}/scripts/lib/release.sh"
# shellcheck source=lib/remains.sh
source "${ROOT}/scripts/lib/remains.sh"

readonly ETC=/etc/mcp-host
readonly ENV_FILE=${ETC}/mcp-host.env
readonly DATA_DIR=/var/lib/mcp-host
readonly UNIT=/etc/systemd/system/mcp-host.service
readonly WRAPPERS=/usr/local/bin
readonly SERVICE_USER=mcp-host
readonly READY_S=180

source_path=${ROOT}
public_url=''
base_domain=''
acme_email=''
acme_directory=''
admin_email=''
with_proxy=yes
with_arm64=no
with_containerd=no
with_systemd=yes
dry_run=no
confirmed=no
purge=no
changes=0

usage() {
  sed -n '2,22s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# box_name: its full name, or what there is of it.
box_name() {
  hostname -f 2>/dev/null || hostname
}

# act TEXT COMMAND...: do it and count it, or with --dry-run only tell it.
act() {
  local text=$1
  shift
  changes=$((changes + 1))
  if [[ ${dry_run} == yes ]]; then
    printf 'would: %s\n' "${text}"
  else
    step "${text}"
    "$@"
  fi
}

refuse_unfit_box() {
  local id=''
  if [[ -r /etc/os-release ]]; then
    id=$(. /etc/os-release && printf '%s %s' "${ID:-}" "${ID_LIKE:-}")
  fi
  [[ ${id} == *debian* || ${id} == *ubuntu* ]] || die "This is not Debian or Ubuntu (${id:-unknown})." \
    'Elsewhere, run the container image, or scripts/quickstart.sh.'
  if [[ ${dry_run} == no ]]; then
    is_root || die 'Only root can install.' 'Run this with sudo, or see what it would do with --dry-run.'
  fi
  if [[ ${with_systemd} == yes ]] && ! has_systemd; then
    die 'There is no systemd here, which would keep the appliance running.' \
      'In a container, use the container image; --no-systemd installs all the same and says how to start it.'
  fi
}

# box_needs: what is missing, one word a line.
box_needs() {
  needs
  if [[ ${with_proxy} == yes ]] && ! has_nginx && ! wants_front_door; then
    printf 'nginx\n'
  fi
  has setpriv || printf 'util-linux\n'
  has curl || printf 'curl\n'
  if [[ ${with_arm64} == yes ]]; then
    emulation_needs linux/arm64
  fi
}

install_packages() {
  local found
  local -a missing=()
  found=$(box_needs)
  read -r -d '' -a missing <<<"${found}" || true # there is no closing NUL, which read calls a failure
  if ((${#missing[@]} == 0)); then
    return
  fi
  if [[ " ${missing[*]} " == *' engine '* && ${with_containerd} == yes ]] && ! has dockerd; then
    act 'have the engine keep images in the store of containerd (/etc/docker/daemon.json)' configure_engine
  fi
  if [[ ${dry_run} == yes ]]; then
    local need what
    for need in "${missing[@]}"; do
      what=$(reason "${need}")
      act "install ${what}" true
    done
    return
  fi
  changes=$((changes + 1))
  prepare_box yes "${missing[@]}"
}

configure_engine() {
  mkdir -p /etc/docker
  [[ -e /etc/docker/daemon.json ]] || printf '%s\n' '{"features": {"containerd-snapshotter": true}}' >/etc/docker/daemon.json
}

make_user() {
  getent passwd "${SERVICE_USER}" >/dev/null || act "make the system user ${SERVICE_USER}, as which Postgres runs" \
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "${SERVICE_USER}"
}

install_release() {
  local version=$1 now
  now=$(current_version)
  if [[ ! -e ${RELEASES}/${version}/.complete ]]; then
    act "put release ${version} into ${RELEASES}, with its Python environment" make_release "${source_path}" "${version}"
  fi
  if [[ -z ${now} ]]; then
    act "have ${HOME_DIR}/current lead to it" point_to "${version}"
  fi
}

write_settings() {
  if [[ ! -e ${ENV_FILE} ]]; then
    act "write ${ENV_FILE} with fresh secrets, for root alone" write_env_file
  fi
  if [[ ! -d ${DATA_DIR}/home ]]; then
    act "make ${DATA_DIR}" make_data_dir
  fi
}

make_data_dir() {
  mkdir -p "${DATA_DIR}"
  chmod 711 "${DATA_DIR}" # Postgres lives below as another user; what is in it is closed
  mkdir -p "${DATA_DIR}/home"
  chmod 700 "${DATA_DIR}/home"
}

write_env_file() {
  local secret
  mkdir -p "${ETC}"
  chmod 700 "${ETC}"
  secret=$(head -c 48 /dev/urandom | base64 -w0)
  (
    umask 077
    {
      printf '%s\n' '# The settings of this box; docs/configuration.md lists them. Keep this file secret, and keep it:' \
        '# what JWT_SECRET has signed or sealed cannot be read without it. Changes count after: systemctl restart mcp-host' \
        "JWT_SECRET='${secret}'" "DATA_DIR=${DATA_DIR}" 'RUN_DIR=/run/mcp-host'
      settings_lines
    } >"${ENV_FILE}.new"
  )
  mv -- "${ENV_FILE}.new" "${ENV_FILE}"
}

settings_lines() {
  local name
  name=$(box_name)
  if [[ ${with_proxy} == yes ]]; then
    printf 'PROXY_ENABLED=true\nPUBLIC_URL=%s\n' "${public_url:-https://${name}}"
  elif [[ -n ${public_url} ]]; then
    printf 'PUBLIC_URL=%s\n' "${public_url}"
  fi
  [[ -z ${base_domain} ]] || printf 'BASE_DOMAIN=%s\n' "${base_domain}"
  [[ -z ${acme_email} ]] || printf 'ACME_EMAIL=%s\n' "${acme_email}"
  [[ -z ${acme_directory} ]] || printf 'ACME_DIRECTORY_URL=%s\n' "${acme_directory}"
  [[ ${with_arm64} == no ]] || printf 'REGISTRY_ARCH_TARGETS=linux/amd64,linux/arm64\n'
}

install_wrappers() {
  local name wanted
  for name in mcp-host mcpctl; do
    wanted=$(wrapper "${name}")
    if [[ ! -r ${WRAPPERS}/${name} || $(<"${WRAPPERS}/${name}") != "${wanted}" ]]; then
      act "put ${name} into ${WRAPPERS}" write_wrapper "${name}"
    fi
  done
}

wrapper() {
  printf '%s\n' '#!/bin/sh' "# Made by MCP Host's scripts/install.sh: the release that counts, with the settings of this box."
  if [[ $1 == mcp-host ]]; then
    printf 'export MCP_HOST_ENV_FILE="%s"\n' "\${MCP_HOST_ENV_FILE:-${ENV_FILE}}"
  fi
  printf 'exec %s/current/venv/bin/%s "$@"\n' "${HOME_DIR}" "$1"
}

write_wrapper() {
  wrapper "$1" >"${WRAPPERS}/$1.new"
  chmod 755 "${WRAPPERS}/$1.new"
  mv -- "${WRAPPERS}/$1.new" "${WRAPPERS}/$1"
}

install_unit() {
  if ! cmp -s "${source_path}/systemd/mcp-host.service" "${UNIT}"; then
    act "install the unit ${UNIT}" write_unit
  fi
  if ! systemctl is-enabled --quiet mcp-host.service 2>/dev/null; then
    act 'have it start with the box' quietly enable systemctl enable mcp-host.service
  fi
  if ! systemctl is-active --quiet mcp-host.service 2>/dev/null; then
    act 'start it' quietly start systemctl start mcp-host.service
  fi
}

write_unit() {
  install -m 644 "${source_path}/systemd/mcp-host.service" "${UNIT}"
  systemctl daemon-reload
}

wait_ready() {
  local deadline=$((SECONDS + READY_S)) port answer=''
  port=$(sed -n 's/^BIND_PORT=//p' "${ENV_FILE}")
  until answer=$("${HOME_DIR}/current/venv/bin/python" "${HOME_DIR}/current/scripts/lib/ready.py" "http://127.0.0.1:${port:-3000}/readyz"); do
    if ((SECONDS >= deadline)); then
      "${WRAPPERS}/mcp-host" status >&2 || true
      tail -n 15 -- "${DATA_DIR}/log/hub.log" >&2 || true
      die "The appliance was not ready within ${READY_S} seconds." "It says: ${answer:-nothing}" \
        "Its logs are in ${DATA_DIR}/log, and: journalctl -u mcp-host"
    fi
    sleep 0.3
  done
}

# make_administrator: the first one, once.
make_administrator() {
  local mark=${ETC}/first-administrator email created password
  if [[ -e ${mark} ]]; then
    return
  fi
  email=${admin_email:-admin@$(box_name)}
  [[ ${email} == *.* ]] || email=admin@localhost.localdomain
  changes=$((changes + 1))
  step "Creating the first administrator, ${email}"
  if created=$("${WRAPPERS}/mcp-host" user create --admin --email "${email}" 2>"${LOGS}/user.log"); then
    password=$("${HOME_DIR}/current/venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["password"])' <<<"${created}")
    printf 'E-mail:   %s\nPassword: %s   (shown this once)\n' "${email}" "${password}"
  else
    note 'There is somebody already; nobody was added.'
  fi
  printf '%s\n' "${email}" >"${mark}"
}

confirm() {
  if [[ ${confirmed} == yes ]]; then
    return
  fi
  [[ -t 0 ]] || die 'This must be confirmed.' 'Add --yes, or look first with --dry-run.'
  local answer
  read -r -p "$1 [y/N] " answer
  [[ ${answer} == [yY]* ]] || die 'Nothing was changed.'
}

plan() {
  local version=$1
  install_packages
  make_user
  install_release "${version}"
  write_settings
  install_wrappers
  if [[ ${with_systemd} == yes ]]; then
    install_unit
  fi
}

install_all() {
  local version now wanted=${dry_run}
  refuse_unfit_box
  [[ -r ${source_path}/pyproject.toml ]] || die "${source_path} holds no MCP Host."
  version=$(release_version "${source_path}")
  now=$(current_version)
  if [[ -n ${now} && ${now} != "${version}" ]]; then
    die "Release ${now} is installed here, and this is ${version}." "Change it with: scripts/upgrade.sh ${source_path}"
  fi
  if [[ ${dry_run} == no && ${confirmed} == no ]]; then
    dry_run=yes
    plan "${version}"
    dry_run=${wanted}
    ((changes == 0)) || confirm 'Do all of this?'
    changes=0
  fi
  plan "${version}"
  if [[ ${dry_run} == no ]]; then
    finish
  elif ((changes == 0)); then
    printf 'Nothing would be changed.\n'
  fi
}

finish() {
  if [[ ${with_systemd} == no ]]; then
    printf '%s\n' 'Installed. Start it by hand, or as the first process of a container:' \
      "  MCP_HOST_ENV_FILE=${ENV_FILE} ${HOME_DIR}/current/venv/bin/mcp-host up --foreground"
    return
  fi
  wait_ready
  "${WRAPPERS}/mcp-host" release note-installed
  make_administrator
  if ((changes == 0)); then
    printf 'All of this is here already; nothing was changed.\n'
  fi
  local url name
  url=$(sed -n 's/^PUBLIC_URL=//p' "${ENV_FILE}")
  name=$(box_name)
  printf '%s\n' "MCP Host runs: ${url:-http://${name}:3000}" \
    "Settings: ${ENV_FILE}   Logs: ${DATA_DIR}/log   Upgrade: scripts/upgrade.sh" \
    'Next: sign in, and host a server: mcpctl login --url URL, then mcpctl servers create NAME --package pypi:mcp-server-time'
}

uninstall() {
  is_root || die 'Only root can uninstall.'
  if [[ ${purge} == yes ]]; then
    confirm 'Remove MCP Host, every hosted server, and all data and settings? There is no way back.'
  else
    confirm 'Remove MCP Host? Data and settings stay.'
  fi
  if [[ -e ${UNIT} ]]; then
    step 'Stopping it'
    quietly stop systemctl disable --now mcp-host.service
    rm -f -- "${UNIT}"
    systemctl daemon-reload
  elif [[ -x ${WRAPPERS}/mcp-host ]]; then
    "${WRAPPERS}/mcp-host" down >&2 || true
  fi
  if [[ -r ${DATA_DIR}/installation-id ]] && engine_answers; then
    remove_hosted
    "${WRAPPERS}/mcp-host" egress --remove >/dev/null 2>&1 || note 'The firewall was not asked for its rules.'
    if [[ ${purge} == yes ]]; then
      remove_hosted_data
    fi
  fi
  step "Removing ${HOME_DIR} and the commands"
  rm -rf -- "${HOME_DIR}" "${WRAPPERS}/mcp-host" "${WRAPPERS}/mcpctl"
  if [[ ${purge} == yes ]]; then
    step "Removing ${DATA_DIR}, ${ETC} and the user"
    rm -rf -- "${DATA_DIR}" "${ETC}" /run/mcp-host
    userdel "${SERVICE_USER}" 2>/dev/null || true
  else
    note "${DATA_DIR} and ${ETC} stay; an installation finds them again. Packages stay, too."
  fi
}

main() {
  local verb=install_all
  while (($# > 0)); do
    case $1 in
      --public-url | --base-domain | --acme-email | --acme-directory | --admin-email | --source)
        (($# > 1)) || die "$1 needs a value." 'scripts/install.sh --help shows the options.'
        take_value "$1" "$2"
        shift
        ;;
      --no-proxy) with_proxy=no ;;
      --arm64) with_arm64=yes ;;
      --containerd-images) with_containerd=yes ;;
      --no-systemd) with_systemd=no ;;
      --dry-run) dry_run=yes ;;
      --yes | --unattended) confirmed=yes ;;
      --uninstall) verb=uninstall ;;
      --purge) purge=yes ;;
      -h | --help)
        usage
        return
        ;;
      *) die "Unknown argument: $1" 'scripts/install.sh --help shows what there is.' ;;
    esac
    shift
  done
  "${verb}"
}

take_value() {
  case $1 in
    --public-url)
      [[ $2 =~ ^https?://[^/[:space:]]+/?$ ]] || die "--public-url: $2 is no address such as https://mcp.example.org."
      public_url=${2%/}
      ;;
    --base-domain) base_domain=$2 ;;
    --acme-email)
      [[ $2 == ?*@?* ]] || die "--acme-email: $2 is no e-mail address."
      acme_email=$2
      ;;
    --acme-directory) acme_directory=$2 ;;
    --admin-email) admin_email=$2 ;;
    *) source_path=$(cd -- "$2" && pwd) ;;
  esac
}

main "$@"
