# shellcheck shell=bash
# The running appliance: its secrets, its processes, its first administrator. Everything runs in ROOT, where .env is.

readonly READY_S=120
readonly MCP_HOST=${VENV}/bin/mcp-host
readonly MCPCTL=${VENV}/bin/mcpctl

# write_env: fresh secrets on the first run; a file that is there is left alone.
write_env() {
  local secret
  if [[ -e .env ]]; then
    return
  fi
  step "Writing ${ROOT}/.env with fresh secrets"
  secret=$("${VENV}/bin/python" -c 'import secrets; print(secrets.token_urlsafe(48))')
  (
    umask 077
    printf '%s\n' '# The settings of this appliance; docs/configuration.md lists them. Keep this file secret, and keep it:' \
      '# what JWT_SECRET has signed or sealed cannot be read without it.' "JWT_SECRET=${secret}" >.env.new
  )
  mv -- .env.new .env
}

# read_settings: as the appliance itself reads them, so that there is one reader of the environment.
read_settings() {
  local values
  values=$("${VENV}/bin/python" -c '
from appliance.settings import load_settings
found = load_settings()
print(found.bind_port, found.data_dir.absolute(), found.run_dir.absolute(), sep="\n")')
  {
    read -r HUB_PORT
    read -r DATA_DIR
    read -r RUN_DIR
  } <<<"${values}"
  HUB_URL=http://127.0.0.1:${HUB_PORT}
  LOG_DIR=${DATA_DIR}/log
  export MCPCTL_URL=${MCPCTL_URL:-${HUB_URL}}
}

# delete_state: every file that this installation wrote outside its virtual environment.
delete_state() {
  step "Removing ${DATA_DIR}, ${RUN_DIR} and ${ROOT}/.env"
  rm -rf -- "${DATA_DIR}" "${RUN_DIR}" .env
}

# start_appliance: returns when /readyz says so.
start_appliance() {
  local deadline answer=''
  step 'Starting Postgres, gateway and hub under supervisord'
  "${MCP_HOST}" up >&2
  deadline=$((SECONDS + READY_S))
  until answer=$("${VENV}/bin/python" scripts/lib/ready.py "${HUB_URL}/readyz"); do
    if ((SECONDS >= deadline)); then
      "${MCP_HOST}" status >&2 || true
      tail -n 15 -- "${LOG_DIR}/hub.log" >&2 || true
      die "The appliance was not ready within ${READY_S} seconds." "It says: ${answer:-nothing}" "Its logs are in ${LOG_DIR}."
    fi
    sleep 0.3
  done
}

# sign_in: make the first administrator on the first run, and keep an API key for mcpctl.
sign_in() {
  local email=${ADMIN_EMAIL:-admin@localhost.localdomain} created password
  if "${MCPCTL}" whoami >/dev/null 2>&1; then
    return
  fi
  step "Creating the first administrator, ${email}"
  if ! created=$("${MCP_HOST}" user create --admin --email "${email}" 2>"${LOGS}/user.log"); then
    cat -- "${LOGS}/user.log" >&2
    die 'There is an administrator already, but mcpctl has no key of theirs.' "Sign in once: ${MCPCTL} login --url ${HUB_URL}"
  fi
  password=$(json_field password <<<"${created}")
  note "E-mail:   ${email}"
  note "Password: ${password}   (shown this once)"
  "${MCPCTL}" login --url "${HUB_URL}" --email "${email}" --password-stdin <<<"${password}" >&2
}

json_field() {
  "${VENV}/bin/python" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}
