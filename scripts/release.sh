#!/usr/bin/env bash
# Packs this checkout into an archive that scripts/upgrade.sh takes.
#
#   scripts/release.sh [--version VERSION] [--sign-with KEY.pem] DIRECTORY
#
# Writes mcp-host-VERSION.tar.gz and SHA256SUMS into DIRECTORY, and SHA256SUMS.sig with --sign-with, an Ed25519 key as
# `openssl genpkey -algorithm ed25519` makes it. VERSION: the number in pyproject.toml and the commit.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly ROOT=${PWD}
# shellcheck source=lib/say.sh
source "${ROOT}/scripts/lib/say.sh"
# shellcheck source=lib/release.sh
source "${ROOT}/scripts/lib/release.sh"

version=''
key=''
directory=''

usage() {
  sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

pack() {
  local name work commit
  [[ -n ${version} ]] || version=$(release_version "${ROOT}")
  [[ ${version} =~ ^[0-9A-Za-z][0-9A-Za-z.+_-]*$ ]] || die "--version: ${version} must be letters, digits, '.', '+', '_' and '-'."
  name=mcp-host-${version}
  commit=$(git rev-parse HEAD 2>/dev/null || true)
  work=$(mktemp -d)
  mkdir -p "${directory}" "${work}/${name}"
  pack_release "${ROOT}" "${work}/release.tar"
  tar --extract --file="${work}/release.tar" --directory="${work}/${name}"
  printf '{"version": "%s", "commit": "%s"}\n' "${version}" "${commit}" >"${work}/${name}/RELEASE.json"
  tar --create --gzip --file="${directory}/${name}.tar.gz" --directory="${work}" --sort=name --owner=0 --group=0 --numeric-owner "${name}"
  rm -rf -- "${work}"
  (cd -- "${directory}" || exit && sha256sum "${name}.tar.gz" >SHA256SUMS)
  if [[ -n ${key} ]]; then
    openssl pkeyutl -sign -rawin -inkey "${key}" -in "${directory}/SHA256SUMS" -out "${directory}/SHA256SUMS.sig"
  fi
  printf '%s\n' "${directory}/${name}.tar.gz"
}

main() {
  while (($# > 0)); do
    case $1 in
      --version | --sign-with)
        (($# > 1)) || die "$1 needs a value."
        if [[ $1 == --version ]]; then version=$2; else key=$2; fi
        shift
        ;;
      -h | --help)
        usage
        return
        ;;
      -*) die "Unknown argument: $1" 'scripts/release.sh --help shows what there is.' ;;
      *) directory=$1 ;;
    esac
    shift
  done
  [[ -n ${directory} ]] || die 'Where should the archive go?' 'scripts/release.sh DIRECTORY'
  pack
}

main "$@"
