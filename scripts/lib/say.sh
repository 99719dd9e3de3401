# shellcheck shell=bash
# Talking to the person at the terminal. Progress goes to standard error, results to standard output.

# step TEXT: what happens now.
step() {
  printf '%s==>%s %s\n' "${BOLD}" "${PLAIN}" "$*" >&2
}

# note TEXT: more about it.
note() {
  printf '    %s\n' "$*" >&2
}

# die TEXT [NEXT STEP...]: what is wrong, and what to do about it.
die() {
  printf '%sError:%s %s\n' "${RED}" "${PLAIN}" "$1" >&2
  if (($# > 1)); then
    printf '    %s\n' "${@:2}" >&2
  fi
  exit 1
}

# quietly NAME COMMAND...: run it with its output in a log of that name, whose end is shown only when it fails.
quietly() {
  local log=${LOGS}/$1.log code=0
  shift
  "$@" >"${log}" 2>&1 </dev/null || code=$?
  if ((code != 0)); then
    tail -n 30 -- "${log}" >&2
    die "$1 failed with exit code ${code}." "The whole output is in ${log}."
  fi
}

has() {
  command -v "$1" >/dev/null 2>&1
}

is_root() {
  ((EUID == 0))
}

has_systemd() {
  [[ -d /run/systemd/system ]]
}

# make_log_directory: in a place that all may write to, somebody else could have been there first.
make_log_directory() {
  mkdir -p -- "${LOGS}"
  chmod 700 -- "${LOGS}"
  [[ -O ${LOGS} ]] || die "${LOGS} belongs to somebody else." 'Set TMPDIR to a directory of your own.'
}

if [[ -t 2 && -z ${NO_COLOR:-} ]]; then
  readonly BOLD=$'\e[1m' RED=$'\e[1;31m' PLAIN=$'\e[0m'
else
  readonly BOLD='' RED='' PLAIN=''
fi
readonly LOGS=${TMPDIR:-/tmp}/mcp-host-setup-${EUID}
make_log_directory
