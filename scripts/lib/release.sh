# shellcheck shell=bash
# Releases of an installed box: /opt/mcp-host/releases/<version>, each with its code and its own virtual environment.

# Where tests install instead.
readonly HOME_DIR=${MCP_HOST_HOME:-/opt/mcp-host}
readonly RELEASES=${HOME_DIR}/releases
# What a release is made of.
readonly -a RELEASE_PARTS=(appliance cli deploy docs migrations requirements scripts static systemd templates pyproject.toml README.md)

# release_version SOURCE: what its maker says, or for a checkout its number and a digest of what is in it.
release_version() {
  local source=$1 number digest
  if [[ -r ${source}/RELEASE.json ]]; then
    sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "${source}/RELEASE.json"
    return
  fi
  number=$(sed -n 's/^version = "\(.*\)"/\1/p' "${source}/pyproject.toml")
  list_release "${source}"
  (cd -- "${source}" || exit && xargs -0 sha256sum <"${LOGS}/release.files") >"${LOGS}/release.sums"
  digest=$(sha256sum <"${LOGS}/release.sums")
  printf '%s+%s\n' "${number%%$'\n'*}" "${digest:0:12}"
}

# list_release SOURCE: write the path of every file of a release, each ended by a NUL, into release.files.
list_release() {
  (cd -- "$1" || exit && find "${RELEASE_PARTS[@]}" -type f ! -path '*/__pycache__/*' ! -path '*.egg-info/*' \
    ! -path '*/node_modules/*' -print0) >"${LOGS}/release.unsorted"
  LC_ALL=C sort -z <"${LOGS}/release.unsorted" >"${LOGS}/release.files"
}

# pack_release SOURCE FILE: a tar archive of it, whoever packs it.
pack_release() {
  list_release "$1"
  tar --create --file="$2" --directory="$1" --null --files-from="${LOGS}/release.files" \
    --mode=u=rwX,go=rX --owner=0 --group=0 --numeric-owner
}

current_version() {
  if [[ -L ${HOME_DIR}/current ]]; then
    local found
    found=$(readlink -- "${HOME_DIR}/current")
    printf '%s\n' "${found##*/}"
  fi
}

# make_release SOURCE VERSION: copy the code and build its environment; one that was interrupted is begun anew.
make_release() {
  local source=$1 version=$2 release=${RELEASES}/$2
  if [[ -e ${release}/.complete ]]; then
    return
  fi
  rm -rf -- "${release}"
  mkdir -p -- "${release}"
  # Root's file mask may be a strict one, and Postgres runs as somebody else.
  chmod 755 -- "${HOME_DIR}" "${RELEASES}" "${release}"
  pack_release "${source}" "${LOGS}/release.tar"
  tar --extract --file="${LOGS}/release.tar" --directory="${release}"
  rm -f -- "${LOGS}/release.tar"
  if [[ -r ${source}/RELEASE.json ]]; then
    cp -- "${source}/RELEASE.json" "${release}/"
  else
    printf '{"version": "%s"}\n' "${version}" >"${release}/RELEASE.json"
  fi
  (umask 022 && MCP_HOST_VENV=${release}/venv bash -c \
    'set -euo pipefail; ROOT=$1; source "${ROOT}/scripts/lib/setup.sh"; make_venv runtime' bash "${release}")
  # Compiled once: a start is twice as quick, and what was compiled at a start is memory that the process keeps.
  (umask 022 && quietly compile "${release}/venv/bin/python" -m compileall -q --invalidation-mode unchecked-hash \
    "${release}/appliance" "${release}/cli")
  touch -- "${release}/.complete"
}

# point_to VERSION: for a first installation; an installed box is changed by `mcp-host release switch`.
point_to() {
  ln -sfn -- "releases/$1" "${HOME_DIR}/.current.new"
  mv -T -- "${HOME_DIR}/.current.new" "${HOME_DIR}/current"
}
