# shellcheck shell=bash
# Programs of other architectures: qemu, which the kernel starts for them (binfmt_misc).
#
# The emulator is kept open by the kernel (flag F), so that it is there in containers and builds too.

readonly BINFMT=/proc/sys/fs/binfmt_misc

# qemu_name PLATFORM: the architecture of linux/arm64 or linux/arm/v7 as qemu calls it.
qemu_name() {
  case ${1#linux/} in
    amd64) printf 'x86_64\n' ;;
    arm64*) printf 'aarch64\n' ;;
    arm/*) printf 'arm\n' ;;
    386) printf 'i386\n' ;;
    *) printf '%s\n' "${1#linux/}" ;;
  esac
}

# wanted_platforms: what images are to be built for, in the words of the settings.
wanted_platforms() {
  if [[ -n ${REGISTRY_ARCH_TARGETS:-} ]]; then
    printf '%s\n' "${REGISTRY_ARCH_TARGETS}"
  elif [[ -r .env ]]; then
    sed -n "s/^REGISTRY_ARCH_TARGETS=[\"']\\?\\([^\"']*\\).*/\\1/p" .env
  fi
}

# emulation_needs PLATFORM,PLATFORM…: one word for each architecture that this box cannot run yet.
emulation_needs() {
  local platform name own
  local -a platforms
  local -A told=()
  if [[ -z $1 ]]; then
    return
  fi
  own=$(uname -m)
  IFS=', ' read -r -a platforms <<<"$1"
  for platform in "${platforms[@]}"; do
    name=$(qemu_name "${platform}")
    case ${own}/${name} in
      "${name}/${name}" | x86_64/i386 | aarch64/arm) ;; # processors of the last two kinds run their forebears by themselves
      *)
        if [[ -z ${told[${name}]:-} ]] && ! emulates "${name}"; then
          printf 'emulation:%s\n' "${name}"
        fi
        told[${name}]=yes
        ;;
    esac
  done
}

# emulates NAME: whether the kernel hands such programs to an emulator.
emulates() {
  [[ -r ${BINFMT}/qemu-$1 ]] && grep -qx enabled "${BINFMT}/qemu-$1"
}

# enable_emulation NAME: make the kernel know the emulator. Done again it changes nothing. With systemd, installing the
# package did this already; elsewhere nobody has.
enable_emulation() {
  local name=$1 rule=/usr/lib/binfmt.d/qemu-$1.conf
  if emulates "${name}"; then
    return
  fi
  step "Letting the kernel run programs of ${name} by emulation"
  if [[ ! -e ${BINFMT}/register ]]; then
    quietly binfmt mount -t binfmt_misc binfmt_misc "${BINFMT}"
  fi
  if has update-binfmts && [[ -e /usr/share/binfmts/qemu-${name} ]]; then
    quietly binfmt update-binfmts --enable "qemu-${name}"
  elif [[ -r ${rule} ]]; then
    # From Debian 13 on the rule is systemd's, in the very words that the kernel takes.
    grep -v '^#' "${rule}" >"${BINFMT}/register"
  fi
  emulates "${name}" || die "This kernel does not take an emulator for ${name}." \
    'A container needs the right to mount binfmt_misc, or a host that has it.' \
    'Or take the platform out of REGISTRY_ARCH_TARGETS.'
}
