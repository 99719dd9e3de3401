# shellcheck shell=bash
# A Debian image to build on, where no registry gives one: assembled from the mirror that this box's own apt uses.

readonly DEBIAN_SUITE=trixie
# Nobody reads manuals in a container. Copyright files stay.
readonly -a DEBIAN_LEFT_OUT=(doc man locale info lintian)

# debian_image ARCHITECTURE: the name of the assembled image; it is made once and kept.
debian_image() {
  local architecture=$1 image=mcp-host/debian:${DEBIAN_SUITE}-$1
  if ! docker image inspect "${image}" >/dev/null 2>&1; then
    assemble_debian "${architecture}" "${image}"
  fi
  printf '%s\n' "${image}"
}

# assemble_debian ARCHITECTURE IMAGE
assemble_debian() {
  local architecture=$1 image=$2 mirror work name
  local -a options=()
  has mmdebstrap || die 'mmdebstrap is not installed, which assembles a base image where none can be pulled.' \
    'Install it, or name an image that is here with --base.'
  mirror=$(debian_mirror)
  for name in "${DEBIAN_LEFT_OUT[@]}"; do
    options+=("--dpkgopt=path-exclude=/usr/share/${name}/*")
  done
  options+=('--dpkgopt=path-include=/usr/share/doc/*/copyright')
  step "Assembling Debian ${DEBIAN_SUITE} for ${architecture} from a mirror, once; it stays as ${image}"
  work=$(mktemp -d)
  quietly debian mmdebstrap --variant=minbase --include=ca-certificates "--architectures=${architecture}" "${options[@]}" \
    "${DEBIAN_SUITE}" "${work}/rootfs.tar" ${mirror:+"${mirror}"}
  # Not by import: older engines then take every image for one of their own architecture.
  printf '%s\n' 'FROM scratch' 'ADD rootfs.tar /' 'CMD ["bash"]' >"${work}/Dockerfile"
  quietly debian env DOCKER_BUILDKIT=1 docker build --platform "linux/${architecture}" --tag "${image}" "${work}"
  rm -rf -- "${work}"
}
