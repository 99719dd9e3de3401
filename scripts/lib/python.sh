# shellcheck shell=bash
# The virtual environment: exactly what the lock file says, checked by hash.

# A release keeps its own beside its code.
readonly VENV=${MCP_HOST_VENV:-${ROOT}/.venv}

# make_venv runtime|dev: make it, or do nothing when it already is what the lock file says.
make_venv() {
  local kind=$1 wanted python
  local -a pip=("${VENV}/bin/python" -m pip install --disable-pip-version-check --no-input)
  wanted=$(venv_fingerprint "${kind}")
  if venv_is "${kind}" "${wanted}"; then
    return
  fi
  step "Building the Python environment in ${VENV}, dependencies checked by hash"
  if ! "${VENV}/bin/python" -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    rm -rf -- "${VENV}"
    quietly venv "${python}" -m venv "${VENV}"
  fi
  quietly venv "${pip[@]}" --require-hashes -r "${ROOT}/requirements/${kind}.txt"
  # The locked setuptools does it, so nothing that is not in the lock is fetched.
  quietly venv "${pip[@]}" --no-deps --no-build-isolation --no-index -e "${ROOT}" -e "${ROOT}/cli"
  printf '%s\n' "${wanted}" >"${VENV}/.installed-${kind}"
}

# The development environment holds all that running needs.
venv_is() {
  local kind=$1 wanted=$2 found dev found_dev
  found=$(installed "${kind}")
  found_dev=$(installed dev)
  dev=$(venv_fingerprint dev)
  [[ -x ${VENV}/bin/mcp-host && -x ${VENV}/bin/mcpctl ]] || return 1
  [[ ${found} == "${wanted}" || (${kind} == runtime && ${found_dev} == "${dev}") ]]
}

installed() {
  if [[ -r ${VENV}/.installed-$1 ]]; then
    cat -- "${VENV}/.installed-$1"
  fi
}

# A lock file, the two project files and the place: when one changes, so does what must be installed.
venv_fingerprint() {
  local -a files=("${ROOT}/requirements/$1.txt" "${ROOT}/pyproject.toml" "${ROOT}/cli/pyproject.toml")
  local sums
  sums=$(sha256sum "${files[@]}")
  printf '%s %s\n' "${ROOT}" "${sums//[[:space:]]/ }"
}
