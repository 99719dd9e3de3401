#!/usr/bin/env bash
# Sets up what the tests need and runs all of them; arguments are handed to pytest.
#
#   scripts/test.sh [--setup-only] [PYTEST ARGUMENTS]
#
# They run in two processes, each file in one: most of their time is waiting for containers, databases and browsers.
# With CI=true no test may skip: one that cannot run there fails.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly ROOT=${PWD}
readonly PROCESSES=2
# shellcheck source=lib/setup.sh
source "${ROOT}/scripts/lib/setup.sh"

main() {
  local found setup_only=no
  local -a missing
  if [[ ${1:-} == --setup-only ]]; then
    setup_only=yes
    shift
  fi
  found=$(needs && test_needs)
  read -r -d '' -a missing <<<"${found}" || true # there is no closing NUL, which read calls a failure
  prepare_box yes "${missing[@]}"
  make_venv dev
  if [[ ${setup_only} == no ]]; then
    exec "${VENV}/bin/python" -m pytest --numprocesses "${PROCESSES}" --dist loadfile "$@"
  fi
}

main "$@"
