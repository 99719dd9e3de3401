# shellcheck shell=bash
# What the tests push to, and what they push.

# fetch_busybox ARCHITECTURE: a program that needs nothing beside it, for images that begin with nothing.
fetch_busybox() {
  local architecture=$1 unpacked program
  step "Fetching busybox for ${architecture}"
  unpacked=$(mktemp -d)
  unpack_deb busybox-static trixie "${architecture}" "${unpacked}"
  program=${unpacked}/usr/bin/busybox
  [[ -e ${program} ]] || program=${unpacked}/bin/busybox
  install -D -m 755 "${program}" "${BUSYBOX}-${architecture}"
  rm -rf -- "${unpacked}"
}
