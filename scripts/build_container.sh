#!/usr/bin/env bash
# Builds the container image of the appliance.
#
#   scripts/build_container.sh [OPTIONS]
#
#   -i, --image NAME        mcp-host unless given
#   -t, --tag TAG           unless given: what git describes this checkout as, and latest
#   --dev                   with the tools of the tests
#   --skip-gateway-setup    without the gateway; the image then uses the one at MCP_GATEWAY_URL
#   --platform PLATFORM     linux/amd64 or linux/arm64; unless given, this box's own
#   --buildx                by docker buildx, with the builder that BUILDX_BUILDER names, instead of docker build
#   --base IMAGE            Debian 13 or what derives from it; unless given, debian:trixie-slim where that is here or can be
#                           pulled, else one that is assembled from this box's Debian mirror
#   --ca-bundle FILE        certificates that the build trusts; unless given, this box's. They do not get into the image
#   --pip-config FILE       pip.conf that says where Python packages come from. It does not get into the image
#   --dry-run               print the command, and build nothing
#
# Standard output is the name of the image, nothing else.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly ROOT=${PWD}
# shellcheck source=lib/say.sh
source "${ROOT}/scripts/lib/say.sh"
# shellcheck source=lib/debs.sh
source "${ROOT}/scripts/lib/debs.sh"
# shellcheck source=lib/emulation.sh
source "${ROOT}/scripts/lib/emulation.sh"
# shellcheck source=lib/debian_image.sh
source "${ROOT}/scripts/lib/debian_image.sh"
# shellcheck source=lib/container_options.sh
source "${ROOT}/scripts/lib/container_options.sh"

readonly USUAL_BASE=debian:trixie-slim PULL_S=60 EPOCH='1970-01-01T00:00:00Z'
image=mcp-host
tag=''
target=prod
skip_gateway=0
platform=''
buildx=no
base=''
ca_bundle=''
pip_config=''
dry_run=no

usage() {
  sed -n '2,20s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

read_options() {
  while (($# > 0)); do
    case $1 in
      --dev) target=dev ;;
      --skip-gateway-setup) skip_gateway=1 ;;
      --buildx) buildx=yes ;;
      --dry-run) dry_run=yes ;;
      -h | --help)
        usage
        exit 0
        ;;
      -i | --image | -t | --tag | --platform | --base | --ca-bundle | --pip-config)
        need_value "$@"
        take "$1" "$2"
        shift
        ;;
      *) die "Unknown option: $1" 'scripts/build_container.sh --help shows what there is.' ;;
    esac
    shift
  done
}

# take OPTION VALUE
take() {
  case $1 in
    -i | --image)
      check_image "$1" "$2"
      image=$2
      ;;
    -t | --tag)
      check_tag "$1" "$2"
      tag=$2
      ;;
    --platform)
      check_platform "$2"
      platform=$2
      ;;
    --base) base=$2 ;;
    --ca-bundle)
      check_file "$1" "$2"
      ca_bundle=$2
      ;;
    --pip-config)
      check_file "$1" "$2"
      pip_config=$2
      ;;
    *) return 1 ;;
  esac
}

check_platform() {
  case $1 in
    linux/amd64 | linux/arm64) ;;
    *,*) die "--platform takes one platform, not $1." 'Build each by itself, with a --tag of its own.' ;;
    *) die "--platform is linux/amd64 or linux/arm64, not $1." ;;
  esac
}

# find_base ARCHITECTURE: what to build on.
find_base() {
  local architecture=$1 found
  if [[ -n ${base} ]]; then
    return
  fi
  base=${USUAL_BASE}
  found=$(docker image inspect --format '{{.Architecture}}' "${base}" 2>/dev/null) || true
  if [[ ${dry_run} == yes || ${found} == "${architecture}" ]]; then
    return
  fi
  step "Pulling ${base}"
  if ! timeout "${PULL_S}" docker pull --quiet --platform "linux/${architecture}" "${base}" >/dev/null 2>&1; then
    note 'Its registry does not give it.'
    base=$(debian_image "${architecture}")
  fi
}

# need_emulation ARCHITECTURE: refuse, and say what helps, where this box cannot run the programs of the build.
need_emulation() {
  local missing
  missing=$(emulation_needs "linux/$1")
  if [[ -n ${missing} ]]; then
    die "This box cannot run programs of linux/$1, as --platform asks." \
      'Install qemu-user-static and binfmt-support, or build on a box of that kind.'
  fi
}

build() {
  local architecture version revision=unknown created=${EPOCH} seconds=0
  local -a command=(docker build) options tags=()
  architecture=${platform#linux/}
  [[ -n ${architecture} ]] || architecture=$(own_architecture)
  if [[ ${dry_run} == no ]]; then
    need_emulation "${architecture}"
  fi
  find_base "${architecture}"
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
  if revision=$(git rev-parse HEAD 2>/dev/null); then
    seconds=$(git log -1 --format=%ct)
    created=$(date --utc --date="@${seconds}" +%Y-%m-%dT%H:%M:%SZ)
  fi
  if [[ -z ${tag} ]]; then
    tag=$(git describe --tags --always --dirty 2>/dev/null) || tag=${version}
    tags=(--tag "${image}:latest")
  fi
  options=(
    --file "${ROOT}/Dockerfile" --tag "${image}:${tag}" "${tags[@]}" --build-arg "BASE=${base}"
    --build-arg "HUB_INSTALL_TARGET=${target}" --build-arg "SKIP_GATEWAY_SETUP=${skip_gateway}"
    --build-arg "VERSION=${version}" --build-arg "REVISION=${revision:-unknown}" --build-arg "CREATED=${created}"
    --build-arg "SOURCE_DATE_EPOCH=${seconds}"
  )
  if [[ ${buildx} == yes ]]; then
    # --load: the builder may keep its images elsewhere.
    command=(docker buildx build --load ${BUILDX_BUILDER:+"--builder=${BUILDX_BUILDER}"})
  fi
  add_site
  if [[ -n ${platform} ]]; then
    options+=(--platform "${platform}")
  fi
  show env DOCKER_BUILDKIT=1 "${command[@]}" "${options[@]}" "${ROOT}"
  if [[ ${dry_run} == no ]]; then
    DOCKER_BUILDKIT=1 "${command[@]}" "${options[@]}" "${ROOT}" >&2
    printf '%s\n' "${image}:${tag}"
  fi
}

# add_site: what this site has of its own. Proxies are passed on by docker only when they are named, and it keeps them out of
# the image's history.
add_site() {
  local name bundle=${ca_bundle:-/etc/ssl/certs/ca-certificates.crt}
  if [[ -r ${bundle} ]]; then
    options+=(--secret "id=ca,src=${bundle}")
  fi
  if [[ -n ${pip_config} ]]; then
    options+=(--secret "id=pip,src=${pip_config}")
  fi
  for name in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
    if [[ -n ${!name:-} ]]; then
      options+=(--build-arg "${name}") # docker takes the value from the environment, so it is not printed
    fi
  done
}

main() {
  read_options "$@"
  if [[ ${dry_run} == no ]]; then
    need_engine
  fi
  build
}

main "$@"
