# shellcheck shell=bash
# Single packages of another Debian release or another architecture, unpacked and not installed.

# debian_mirror: the address that this box's own sources name.
debian_mirror() {
  local targets
  # The dollar signs are apt's.
  targets=$(apt-get indextargets --format "\$(REPO_URI) \$(ORIGIN) \$(LABEL)" 'Identifier: Packages')
  awk '$2 == "Debian" && $3 == "Debian" { sub("/$", "", $1); print $1; exit }' <<<"${targets}"
}

# unpack_deb PACKAGE SUITE ARCHITECTURE DIRECTORY: from the mirror that this box uses already.
#
# Adding the release or the architecture to the box's own sources would let their other packages in, so the lists are kept
# in a directory that is thrown away.
unpack_deb() {
  local package=$1 suite=$2 architecture=$3 into=$4 mirror work
  mirror=$(debian_mirror)
  [[ -n ${mirror} ]] || die "No Debian mirror is configured from which ${package} could be fetched." \
    "Install ${package} for this distribution and run this again."
  work=$(mktemp -d)
  mkdir -p "${work}/lists/partial" "${into}"
  printf 'deb [signed-by=%s] %s %s main\n' "${DEBIAN_KEYS}" "${mirror}" "${suite}" >"${work}/sources.list"
  local -a apart=(
    -o "Dir::Etc::sourcelist=${work}/sources.list" -o Dir::Etc::sourceparts=/nonexistent
    -o "Dir::State::lists=${work}/lists" -o APT::Sandbox::User=root
    -o "APT::Architecture=${architecture}" -o "APT::Architectures=${architecture}"
  )
  quietly "${package}" apt-get "${apart[@]}" update
  # apt downloads to the working directory only.
  quietly "${package}" env --chdir="${work}" apt-get "${apart[@]}" download "${package}"
  dpkg -x "${work}/${package}"_*.deb "${into}"
  rm -rf -- "${work}"
}
