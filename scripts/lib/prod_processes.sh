# shellcheck shell=bash
# The processes of run_prod.sh: started, looked at, stopped.

readonly POLL_S=0.05 LOOK_S=0.25

declare -A PIDS=()
# How often in a row a program was found without a sign of life.
declare -A SILENT=()
# What came of them: the signal that asked for the end, the program that ended by itself, whether one had to be killed.
ASKED=''
ENDED=''
KILLED=no

# Percent of STOP_SECONDS at which each is killed, counted from the beginning of the end.
readonly HUB_SHARE=35 GATEWAY_SHARE=75 EGRESS_SHARE=80

# start NAME COMMAND: in a process group of its own, ended should this script be killed, and without the right that only
# egress needs.
start() {
  local name=$1 rights=(--inh-caps=-all --ambient-caps=-all)
  if [[ ${name} == egress || ${EUID} == 0 ]]; then
    rights=()
  fi
  say "Starting ${name}"
  setsid setpriv --pdeathsig=TERM "${rights[@]}" -- "${PYTHON}" -P -m appliance "$2" &
  PIDS[${name}]=$!
}

lives() {
  [[ -n ${PIDS[$1]:-} ]] && kill -0 "${PIDS[$1]}" 2>/dev/null
}

listens() {
  (exec {probe}<>"/dev/tcp/$1/$2") 2>/dev/null
}

# silence: something to listen to that never says anything.
silence() {
  exec {SILENCE}<> <(:)
}

# pause SECONDS: without starting a process each time.
pause() {
  read -rt "$1" <&"${SILENCE}" || true
}

# milliseconds: since some moment in the past.
milliseconds() {
  local digits=${EPOCHREALTIME//[!0-9]/}
  printf '%s\n' "${digits%???}"
}

# stop NAME SIGNAL UNTIL: ask it, and kill it at that millisecond. What it leaves of its group goes too.
stop() {
  local name=$1 pid=${PIDS[$1]:-} now
  if [[ -z ${pid} ]]; then
    return
  fi
  if lives "${name}"; then
    say "Stopping ${name}"
    kill -s "$2" "${pid}" 2>/dev/null || true
    now=$(milliseconds)
    while lives "${name}" && ((now < $3)); do
      pause "${POLL_S}"
      now=$(milliseconds)
    done
    if lives "${name}"; then
      say "${name} did not stop in time and is killed."
      KILLED=yes
    fi
  fi
  kill -s KILL -- "-${pid}" 2>/dev/null || true
}

# stop_all: who decides first, then who carries, last who keeps. Postgres has the rest of the time, and its log makes up for
# what would not end.
stop_all() {
  local now
  now=$(milliseconds)
  stop hub TERM $((now + STOP_SECONDS * HUB_SHARE * 10))
  stop gateway TERM $((now + STOP_SECONDS * GATEWAY_SHARE * 10))
  stop egress TERM $((now + STOP_SECONDS * EGRESS_SHARE * 10))
  stop postgres INT $((now + STOP_SECONDS * 1000))
}

# shorten_patience: hub and gateway wait for what is open no longer than their share of the time allows, unless the settings
# say how long.
shorten_patience() {
  shorten HUB_GRACEFUL_TIMEOUT 10 $((STOP_SECONDS * HUB_SHARE / 100 - 1))
  shorten GW_GRACEFUL_TIMEOUT 30 $((STOP_SECONDS * (GATEWAY_SHARE - HUB_SHARE) / 100 - 2))
}

# shorten NAME USUAL SECONDS
shorten() {
  if [[ -z ${!1:-} ]] && (($3 < $2)) && ! grep -qs "^$1=." .env; then
    export "$1=$(($3 > 1 ? $3 : 1))"
  fi
}

await_gateway() {
  local deadline=$((SECONDS + START_SECONDS))
  until listens "${GATEWAY_HOST}" "${GATEWAY_PORT}"; do
    [[ -z ${ASKED} ]] || return 0
    if ! lives gateway; then
      ENDED=gateway
      return
    fi
    if ((SECONDS >= deadline)); then
      fail "$(code_of gateway)" "The gateway did not listen on port ${GATEWAY_PORT} within ${START_SECONDS} seconds."
    fi
    pause "${POLL_S}"
  done
}

# prepare_schema: before the gateway, which reads it. The hub looks again, and says what to do if it failed here.
prepare_schema() {
  local deadline=$((SECONDS + START_SECONDS))
  while [[ ${WITH_POSTGRES} == True && ! -S ${SOCKET} && -z ${ASKED}${ENDED} ]] && ((SECONDS < deadline)); do
    lives postgres || ENDED=postgres
    pause "${POLL_S}"
  done
  [[ -z ${ASKED}${ENDED} ]] || return 0
  "${PYTHON}" -P -m appliance migrate >/dev/null || say 'The schema could not be brought up to date yet.'
}

start_all() {
  if [[ ${WITH_POSTGRES} == True ]]; then
    rm -f -- "${SOCKET}"
    start postgres postgres
  fi
  prepare_schema
  [[ -z ${ASKED}${ENDED} ]] || return 0
  if [[ ${WITH_GATEWAY} == True ]]; then
    start gateway gateway
    await_gateway
  fi
  if [[ ${WITH_EGRESS} == True ]]; then
    start_egress
  fi
  if [[ -z ${ASKED}${ENDED} ]]; then
    start hub serve
  fi
}

start_egress() {
  if may_administer_network CapEff; then
    start egress egress
  else
    say 'Warning: without the capability NET_ADMIN there is no egress process. Hosted servers reach nothing by way of the' \
      'network, and the ports of this box are not closed to them.'
  fi
}

# watch: until one of them ends, or somebody asks for the end. Looking again and again misses no signal, as waiting could.
watch() {
  local name next=$((SECONDS + HANG_SECONDS))
  while [[ -z ${ASKED}${ENDED} ]]; do
    for name in "${!PIDS[@]}"; do
      lives "${name}" || ENDED=${name}
    done
    if ((SECONDS >= next)); then
      end_what_hangs
      next=$((SECONDS + HANG_SECONDS))
    fi
    pause "${LOOK_S}"
  done
}

# forget_beats: of an earlier run; who has not begun to beat is not watched.
forget_beats() {
  rm -f -- "${BEATS}"/*
  mkdir -p -- "${BEATS}"
  : >"${BEATS}/.looked"
}

# end_what_hangs: each of them touches a file every two seconds, as long as it does its work. Two looks in a row without are a
# hang; one could be a clock that was set.
end_what_hangs() {
  local name
  for name in "${!PIDS[@]}"; do
    if [[ ! -e ${BEATS}/${name} || ${BEATS}/${name} -nt ${BEATS}/.looked ]]; then
      SILENT[${name}]=0
      continue
    fi
    SILENT[${name}]=$((${SILENT[${name}]:-0} + 1))
    if ((SILENT[${name}] >= 2)); then
      say "${name} gives no sign of life; it is asked what it does, and killed."
      kill -s USR1 "${PIDS[${name}]}" 2>/dev/null || true
      pause 1
      kill -s KILL "${PIDS[${name}]}" 2>/dev/null || true
    fi
  done
  : >"${BEATS}/.looked"
}

# code_of NAME: how this script exits when that one ended by itself.
code_of() {
  case $1 in
    hub) printf '70\n' ;;
    gateway) printf '71\n' ;;
    postgres) printf '72\n' ;;
    egress) printf '73\n' ;;
    *) return 1 ;;
  esac
}

# health: alive, as /healthz says; no process is started for it.
health() {
  local host port connection answer=''
  enter_settings
  host=$(setting_of BIND_ADDRESS 127.0.0.1)
  port=$(setting_of BIND_PORT 3000)
  if [[ ${host} == 0.0.0.0 ]]; then
    host=127.0.0.1
  fi
  exec {connection}<>"/dev/tcp/${host}/${port}"
  printf 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&"${connection}"
  read -rt 4 answer <&"${connection}" || true
  [[ ${answer} == 'HTTP/1.1 200 '* ]]
}

# setting_of NAME DEFAULT: for the one thing that is asked every few seconds.
setting_of() {
  local found=${!1:-}
  if [[ -z ${found} && -r .env ]]; then
    found=$(sed -n "s/^$1=[\"']\\?\\([^\"']*\\).*/\\1/p" .env)
  fi
  printf '%s\n' "${found:-$2}"
}
