# shellcheck shell=bash
# What this box lacks. A need is a word; every word has a reason, and packages once the package lists are known.

readonly OLDEST_PYTHON_MINOR=11
readonly NEWEST_PYTHON_MINOR=13
readonly TEST_PLATFORMS=linux/amd64,linux/arm64
readonly BUSYBOX=/usr/local/lib/mcp-host-tests/busybox
readonly DEBIAN_KEYS=/usr/share/keyrings/debian-archive-keyring.gpg

# needs: the words for what is missing to run the appliance, one a line.
needs() {
  can_make_venv || printf 'python\n'
  has git || printf 'git\n'
  has ssh || printf 'ssh\n'
  engine_answers || printf 'engine\n'
  docker buildx version >/dev/null 2>&1 || printf 'buildx\n'
  has mmdebstrap || printf 'mmdebstrap\n'
  # One that is there, be it the other package, is left alone: they drive each other out.
  has busybox || printf 'busybox-static\n'
  # Nobody but root may use it.
  if is_root && ! has_firewall; then
    printf 'firewall\n'
  fi
  if wants_front_door; then
    has_nginx || printf 'nginx\n'
  fi
  if wants_rsync; then
    has rsync || printf 'rsync\n'
  fi
  # Only where somebody asked for images of other architectures.
  local platforms
  platforms=$(wanted_platforms)
  emulation_needs "${platforms}"
}

# has_firewall: whether nft and ip are there; Debian keeps them off other users' PATH.
has_firewall() {
  PATH=${PATH}:/usr/sbin:/sbin has nft && PATH=${PATH}:/usr/sbin:/sbin has ip
}

# has_nginx: as for nft, not only on this user's PATH.
has_nginx() {
  PATH=${PATH}:/usr/sbin:/sbin has nginx
}

# setting NAME: what it is set to, here or in .env.
setting() {
  if [[ -z ${!1:-} && -r .env ]]; then
    sed -n "s/^$1=[\"']\\?\\([^\"']*\\).*/\\1/p" .env
  else
    printf '%s\n' "${!1:-}"
  fi
}

# wants_front_door: whether the settings ask for it, in the words of the settings.
wants_front_door() {
  local value
  value=$(setting PROXY_ENABLED)
  [[ ${value,,} =~ ^(true|t|yes|y|on|1)$ ]]
}

# wants_rsync: whether backups go to another box.
wants_rsync() {
  local value
  value=$(setting BACKUP_TARGET)
  [[ ${value} == ssh://* ]]
}

# engine_has_gvisor: whether containers may be given a kernel of their own.
engine_has_gvisor() {
  local runtimes
  runtimes=$(docker info --format '{{json .Runtimes}}' 2>/dev/null) || return 1
  [[ ${runtimes} == *'"runsc"'* ]]
}

# has_library NAME: whether the dynamic linker finds it.
has_library() {
  local known
  known=$(/sbin/ldconfig -p)
  [[ ${known} == *"$1 "* ]]
}

# test_needs: what the tests want beyond that.
test_needs() {
  has chromium || has chromium-browser || printf 'chromium\n'
  has_library libatomic.so.1 || printf 'libatomic\n'
  has docker-registry || printf 'docker-registry\n'
  has skopeo || printf 'skopeo\n'
  has htpasswd || printf 'htpasswd\n'
  has sshd || printf 'sshd\n'
  has git-lfs || printf 'git-lfs\n'
  if is_root && ! engine_has_gvisor; then
    printf 'gvisor\n'
  fi
  has redis-server || printf 'redis-server\n'
  has pebble || printf 'pebble\n'
  # Above, where the settings ask for it.
  wants_front_door || has_nginx || printf 'nginx\n'
  wants_rsync || has rsync || printf 'rsync\n'
  emulation_needs "${TEST_PLATFORMS}"
  local architecture
  for architecture in amd64 arm64; do
    [[ -x ${BUSYBOX}-${architecture} ]] || printf 'busybox:%s\n' "${architecture}"
  done
}

# reason NEED: what it is and what it is for.
reason() {
  case $1 in
    python) printf 'Python 3.%s to 3.%s with venv: runs the appliance\n' "${OLDEST_PYTHON_MINOR}" "${NEWEST_PYTHON_MINOR}" ;;
    git) printf 'git: fetches servers from repositories\n' ;;
    ssh) printf 'OpenSSH client: opens private repositories with a deploy key\n' ;;
    engine)
      if has dockerd; then
        printf 'a Docker engine that this user reaches: the installed one will be started\n'
      else
        printf 'Docker engine: builds and runs hosted servers\n'
      fi
      ;;
    buildx) printf 'docker buildx: builds images\n' ;;
    mmdebstrap) printf 'mmdebstrap: makes the base image of builds where no registry can be reached\n' ;;
    busybox-static) printf 'busybox-static: a shell for images without one, by which secrets reach their environment\n' ;;
    firewall) printf 'nftables and iproute2: let servers reach what they may, and nothing else\n' ;;
    chromium) printf 'Chromium: the browser in which the pages are tested\n' ;;
    libatomic) printf 'libatomic: what drives the browser needs it\n' ;;
    docker-registry) printf 'docker-registry: the registry to which the tests push\n' ;;
    skopeo) printf 'skopeo: reads back what the tests pushed\n' ;;
    htpasswd) printf 'htpasswd: gives that registry a password\n' ;;
    sshd) printf 'OpenSSH server: the git host behind which private test repositories are\n' ;;
    gvisor) printf 'gVisor, for the engine: runs the servers of the tier that is tested with it\n' ;;
    git-lfs) printf 'git-lfs: fetches the large files of test repositories\n' ;;
    redis-server) printf 'redis-server: a service that the tests have servers use\n' ;;
    nginx) printf 'Nginx: the front door, which speaks TLS before the hub and the gateway\n' ;;
    rsync) printf 'rsync: brings backups to another box\n' ;;
    pebble) printf 'pebble: the certificate authority at which the tests order\n' ;;
    emulation:*) printf 'qemu and binfmt_misc: run programs of %s, for images of that architecture\n' "${1#*:}" ;;
    busybox:*) printf 'busybox for %s: what the smallest test images are made of\n' "${1#*:}" ;;
    *) printf '%s\n' "$1" ;;
  esac
}

# packages_for NEED: the packages, one a line; none where there is another way. Needs fresh package lists.
packages_for() {
  case $1 in
    python) python_packages ;;
    git) printf '%s\n' git ca-certificates ;;
    ssh) printf 'openssh-client\n' ;;
    firewall) printf '%s\n' nftables iproute2 ;;
    engine)
      if ! has dockerd; then
        printf 'docker.io\n'
        # Debian 13 has the client in a package of its own; elsewhere it is in docker.io.
        if apt_knows docker-cli; then
          printf 'docker-cli\n'
        fi
      fi
      ;;
    buildx)
      if apt_knows docker-buildx; then
        printf 'docker-buildx\n'
      fi
      ;;
    mmdebstrap)
      printf 'mmdebstrap\n'
      if [[ ! -e ${DEBIAN_KEYS} ]]; then
        printf 'debian-archive-keyring\n'
      fi
      ;;
    libatomic) printf 'libatomic1\n' ;;
    htpasswd) printf 'apache2-utils\n' ;;
    sshd) printf 'openssh-server\n' ;;
    nginx)
      # The smallest of its packages, where there are several.
      if apt_knows nginx-light; then
        printf 'nginx-light\n'
      else
        printf 'nginx\n'
      fi
      ;;
    gvisor) ;; # one program, which a script of its own fetches
    # arch-test is how mmdebstrap finds out.
    emulation:*) printf '%s\n' qemu-user-static binfmt-support arch-test ;;
    busybox:*)
      # Unpacked, not installed: the package would drive out the busybox of a box that has another.
      if [[ ! -e ${DEBIAN_KEYS} ]]; then
        printf 'debian-archive-keyring\n'
      fi
      ;;
    *) printf '%s\n' "$1" ;;
  esac
}

# The newest Python that the project runs on, or nothing. The distribution's own comes before others on the PATH: it is
# compiled with the optimizations that a build by hand often lacks (a call through the gateway costs a tenth less), and its
# updates come by apt.
find_python() {
  local place name
  for place in /usr/bin/ ''; do
    for name in python3.13 python3.12 python3.11 python3; do
      if has "${place}${name}" && fits "${place}${name}"; then
        printf '%s\n' "${place}${name}"
        return
      fi
    done
  done
}

fits() {
  "$1" -c "import sys; sys.exit(not (3, ${OLDEST_PYTHON_MINOR}) <= sys.version_info[:2] <= (3, ${NEWEST_PYTHON_MINOR}))" \
    2>/dev/null
}

can_make_venv() {
  local python
  python=$(find_python)
  [[ -n ${python} ]] && "${python}" -c 'import venv, ensurepip' 2>/dev/null
}

python_packages() {
  local python default name
  python=$(find_python)
  default=$(candidate_of python3)
  if [[ -n ${python} ]]; then
    printf '%s-venv\n' "${python##*/}"
  elif [[ ${default} =~ ^3\.([0-9]+) ]] && ((BASH_REMATCH[1] >= OLDEST_PYTHON_MINOR && BASH_REMATCH[1] <= NEWEST_PYTHON_MINOR)); then
    printf '%s\n' python3 python3-venv
  else
    # The distribution's own is too old or too new; some have others beside it.
    for name in python3.13 python3.12 python3.11; do
      if apt_knows "${name}-venv"; then
        printf '%s\n' "${name}" "${name}-venv"
        return
      fi
    done
  fi
}

engine_answers() {
  docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

apt_knows() {
  local candidate
  candidate=$(candidate_of "$1")
  [[ -n ${candidate} && ${candidate} != '(none)' ]]
}

candidate_of() {
  local policy
  policy=$(apt-cache policy "$1")
  sed -n 's/^ *Candidate: //p' <<<"${policy}"
}
