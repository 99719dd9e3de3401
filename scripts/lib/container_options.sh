# shellcheck shell=bash
# What build_container.sh and run_container.sh ask of their options.

# need_value OPTION [VALUE]...
need_value() {
  (($# > 1)) && [[ -n $2 && $2 != --* ]] || die "$1 needs a value." "${0##*/} --help shows what there is."
}

# check_image OPTION NAME: of the image, without a tag.
check_image() {
  [[ $2 =~ ^([a-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*$ ]] \
    || die "$1 is the name of an image without its tag, in lower case, such as mcp-host; not $2."
}

# check_tag OPTION TAG
check_tag() {
  [[ $2 =~ ^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$ ]] \
    || die "$1 is letters, digits, dots, dashes and underscores, such as 1.0.0; not $2."
}

# check_port OPTION PORT
check_port() {
  [[ $2 =~ ^[0-9]{1,5}$ ]] && ((10#$2 >= 1 && 10#$2 <= 65535)) || die "$1 is a port from 1 to 65535, not $2."
}

# check_name OPTION NAME: of a container or a volume.
check_name() {
  [[ $2 =~ ^[A-Za-z0-9][A-Za-z0-9_.-]+$ ]] || die "$1 is a name of letters, digits, dots, dashes and underscores, not $2."
}

# check_file OPTION PATH
check_file() {
  [[ -f $2 && -r $2 ]] || die "$1 names a file that cannot be read: $2"
  # Docker separates the parts of what it is told by these.
  [[ $2 != *[,:]* ]] || die "$1 names a file with a comma or a colon in its path: $2" 'Docker cannot be told of it; rename it.'
}

need_engine() {
  has docker || die 'The docker command is not installed.' 'Install Docker.'
  docker version >/dev/null 2>&1 || die 'The Docker engine does not answer.' \
    'Start it, or join the group that may use its socket: docker version says more.'
}

# own_architecture: of this box, as Debian and Docker call it.
own_architecture() {
  local machine
  machine=$(uname -m)
  case ${machine} in
    x86_64) printf 'amd64\n' ;;
    aarch64) printf 'arm64\n' ;;
    *) die "There is no image for ${machine}; amd64 and arm64 are supported." ;;
  esac
}

# show COMMAND...: print it so that it can be pasted into a shell.
show() {
  local text
  printf -v text ' %q' "$@"
  printf '+%s\n' "${text}" >&2
}
