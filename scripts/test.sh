#!/usr/bin/env bash
# Sets up what the tests need and runs all of them; arguments are handed to pytest.
#
#   scripts/test.sh [--setup-only | --slow] [PYTEST ARGUMENTS]
#
# --slow runs what takes minutes instead, one after the other: the tests that are marked so, and the proof fresh-install, which
# installs on blank boxes with systemd.
# They run in three processes, each file in one, also on two cores: a process alone waits half of its time for containers,
# databases and browsers. tests/conftest.py says in which order.
# With CI=true no test may skip: one that cannot run there fails.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
readonly ROOT=${PWD}
readonly PROCESSES=3
# How pytest says that tests failed, and nothing else went wrong.
readonly TESTS_FAILED=1
# So many may fail for want of time; more are a fault.
readonly FEW=8
# shellcheck source=lib/setup.sh
source "${ROOT}/scripts/lib/setup.sh"

main() {
  local found setup_only=no slow=no
  local -a missing
  case ${1:-} in
    --setup-only)
      setup_only=yes
      shift
      ;;
    --slow)
      slow=yes
      shift
      ;;
    *) ;;
  esac
  found=$(needs && test_needs)
  read -r -d '' -a missing <<<"${found}" || true # there is no closing NUL, which read calls a failure
  prepare_box yes "${missing[@]}"
  make_venv dev
  if [[ ${slow} == yes ]]; then
    "${VENV}/bin/python" -m pytest -m slow "$@"
    exec scripts/prove fresh-install
  fi
  if [[ ${setup_only} == no ]]; then
    run_all "$@"
  fi
}

# run_all [PYTEST ARGUMENTS]: all beside each other, and what failed once more by itself. A container, a browser or a database that
# is late on a full box looks like a fault; a fault fails twice. What failed at first stays in what is printed.
run_all() {
  local code=0 failed
  "${VENV}/bin/python" -m pytest --cache-clear --numprocesses "${PROCESSES}" --dist loadfile --no-loadscope-reorder "$@" || code=$?
  if ((code != TESTS_FAILED)); then
    exit "${code}"
  fi
  failed=$("${VENV}/bin/python" -m pytest --cache-show cache/lastfailed | grep -c '::') || failed=0
  if ((failed == 0 || failed > FEW)); then
    exit "${code}"
  fi
  step "${failed} failed beside the others; they are run again by themselves"
  exec "${VENV}/bin/python" -m pytest --last-failed --last-failed-no-failures none "$@"
}

main "$@"
