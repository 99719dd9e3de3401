#!/usr/bin/env bash
# Changes an installed box to another release, with no call through the gateway failing; when a check fails, back by itself.
#
#   scripts/upgrade.sh PATH         a checkout, or an archive of scripts/release.sh with its SHA256SUMS beside it
#   scripts/upgrade.sh VERSION      an archive in /opt/mcp-host/archives, or a release that is on the box already
#   scripts/upgrade.sh --rollback   back to the release before
#   scripts/upgrade.sh --list       the releases on this box, and what became of each change
#
# Options:
#   --check      only look whether the release could take over
#   --watch S    seconds for which all must stay well before the change counts (20)
#   --key FILE   the public key (PEM, Ed25519) with which SHA256SUMS.sig must be made; /etc/mcp-host/release-key.pem where it is there
#
# docs/upgrade.md says what happens, step by step.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly ROOT=${PWD}
# shellcheck source=lib/setup.sh
source "${ROOT}/scripts/lib/setup.sh"
# shellcheck source=lib/release.sh
source "${ROOT}/scripts/lib/release.sh"

readonly ETC=${MCP_HOST_ETC:-/etc/mcp-host}
readonly ARCHIVES=${HOME_DIR}/archives
readonly FREE_KIB=$((1024 * 1024))

target=''
verb=change
watch_s=20
unpacked='' # the directory into which an archive went
key=${ETC}/release-key.pem

usage() {
  sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

mcp_host() {
  MCP_HOST_ENV_FILE=${MCP_HOST_ENV_FILE:-${ETC}/mcp-host.env} "${HOME_DIR}/current/venv/bin/mcp-host" "$@"
}

# take_in: make the release that is asked for be complete on this box, and set version.
take_in() {
  local source=${target} path
  if [[ -e ${RELEASES}/${target}/.complete ]]; then
    version=${target}
    return
  fi
  if [[ ! -e ${target} ]]; then
    source=${ARCHIVES}/mcp-host-${target}.tar.gz
    [[ -r ${source} ]] || die "There is no release ${target}: neither ${RELEASES}/${target} nor ${source}." \
      'Name a checkout or an archive, or put the archive and its SHA256SUMS there.'
  fi
  if [[ -f ${source} ]]; then
    verify_archive "${source}"
    unpacked=$(mktemp -d "${HOME_DIR}/.unpack.XXXXXX")
    trap 'rm -rf -- "${unpacked}"' EXIT # also where the archive is refused after that
    tar --extract --gzip --file="${source}" --directory="${unpacked}" --no-same-owner
    for path in "${unpacked}"/*/RELEASE.json; do
      source=${path%/RELEASE.json}
    done
  fi
  [[ -r ${source}/pyproject.toml ]] || die "${target} holds no MCP Host."
  check_room
  can_make_venv || die "No Python 3.${OLDEST_PYTHON_MINOR} to 3.${NEWEST_PYTHON_MINOR} with venv is on this box."
  check_migrations "${source}"
  version=$(release_version "${source}")
  step "Making release ${version}"
  make_release "${source}" "${version}"
  if [[ -n ${unpacked} ]]; then
    rm -rf -- "${unpacked}"
  fi
}

verify_archive() {
  local archive=$1 directory name
  directory=$(dirname -- "${archive}")
  name=$(basename -- "${archive}")
  [[ -r ${directory}/SHA256SUMS ]] || die "${directory}/SHA256SUMS is missing, by which the archive is checked."
  grep -q "  ${name}\$" "${directory}/SHA256SUMS" || die "SHA256SUMS does not speak of ${name}."
  (cd -- "${directory}" || exit && grep "  ${name}\$" SHA256SUMS | sha256sum --check --status) \
    || die "${name} is not what SHA256SUMS says: it is damaged, or another file."
  if [[ -r ${key} ]]; then
    [[ -r ${directory}/SHA256SUMS.sig ]] || die "SHA256SUMS.sig is missing, and ${key} asks for it."
    openssl pkeyutl -verify -rawin -pubin -inkey "${key}" -in "${directory}/SHA256SUMS" -sigfile "${directory}/SHA256SUMS.sig" \
      >/dev/null 2>&1 || die "SHA256SUMS is not signed with the key in ${key}."
  fi
}

check_room() {
  local free
  free=$(df --output=avail "${HOME_DIR}")
  free=${free##*$'\n'}
  ((free >= FREE_KIB)) || die "Only $((free / 1024)) MiB are free below ${HOME_DIR}; a release needs $((FREE_KIB / 1024))."
}

# check_migrations SOURCE: schemas only go forward, so what this release has the other must have, too, unchanged.
check_migrations() {
  local path name
  for path in "${HOME_DIR}/current/migrations"/*.sql; do
    name=${path##*/}
    cmp -s -- "${path}" "$1/migrations/${name}" || die "That release lacks migration ${name}, or has changed it." \
      'Schemas only go forward. The release before this one is reached with --rollback.'
  done
}

change() {
  # Held to the end, and free when this is killed.
  exec 9>"${HOME_DIR}/making.lock"
  flock --nonblock 9 || die 'Another upgrade is on its way.'
  rm -rf -- "${HOME_DIR}"/.unpack.*
  take_in
  if [[ ${only_check} == yes ]]; then
    printf 'Release %s is on this box and could be tried: scripts/upgrade.sh %s\n' "${version}" "${version}"
    return
  fi
  # The new release knows best how to get there.
  exec env MCP_HOST_ENV_FILE="${MCP_HOST_ENV_FILE:-${ETC}/mcp-host.env}" "${RELEASES}/${version}/venv/bin/mcp-host" \
    release switch --watch "${watch_s}" "${version}"
}

main() {
  only_check=no
  while (($# > 0)); do
    case $1 in
      --rollback) verb=rollback ;;
      --list) verb=list ;;
      --check) only_check=yes ;;
      --watch | --key)
        (($# > 1)) || die "$1 needs a value."
        if [[ $1 == --watch ]]; then watch_s=$2; else key=$2; fi
        shift
        ;;
      -h | --help)
        usage
        return
        ;;
      -*) die "Unknown argument: $1" 'scripts/upgrade.sh --help shows what there is.' ;;
      *) target=$1 ;;
    esac
    shift
  done
  [[ -L ${HOME_DIR}/current ]] || die "Nothing is installed below ${HOME_DIR}." 'scripts/install.sh installs.'
  case ${verb} in
    list) mcp_host release list ;;
    rollback) mcp_host release switch --watch "${watch_s}" --rollback ;;
    *)
      [[ -n ${target} ]] || die 'To which release?' 'scripts/upgrade.sh --help shows what there is.'
      change
      ;;
  esac
}

main "$@"
