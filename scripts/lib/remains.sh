# shellcheck shell=bash
# What an installation leaves on the engine. DATA_DIR must be set.

# What everything on the engine carries that an installation made.
readonly OWNER_LABEL=mcp-host.owner

# stop_hosted: an ended container that is still there would count as a crash at the next start.
stop_hosted() {
  on_each 'Stopping the hosted servers' ps -q -- stop -t 5
  on_each 'Removing their containers' ps -aq -- rm
}

remove_hosted() {
  on_each 'Removing containers' ps -aq -- rm -f
  on_each 'Removing networks' network ls -q -- network rm
}

remove_hosted_data() {
  on_each 'Removing volumes' volume ls -q -- volume rm
  on_each 'Removing images' images -q -- rmi -f
  remove_base_images
}

# remove_base_images: every installation on an engine shares them, so only the last one takes them away.
remove_base_images() {
  local others found
  others=$(docker images -q --filter "label=${OWNER_LABEL}")
  found=$(docker images -q mcp-host/base)
  if [[ -z ${others} && -n ${found} ]]; then
    step 'Removing the base images of builds'
    xargs docker rmi -f <<<"${found}" >/dev/null
  fi
}

# on_each TEXT LISTING... -- COMMAND...: give docker's COMMAND all that its LISTING finds of this installation.
on_each() {
  local text=$1 id found
  local -a listing=() things
  shift
  while [[ $1 != -- ]]; do
    listing+=("$1")
    shift
  done
  shift
  id=$(<"${DATA_DIR}/installation-id")
  found=$(docker "${listing[@]}" --filter "label=${OWNER_LABEL}=${id}")
  found=$(sort -u <<<"${found}")                # an image is listed once for every tag
  read -r -d '' -a things <<<"${found}" || true # there is no closing NUL, which read calls a failure
  if ((${#things[@]} > 0)); then
    step "${text}"
    docker "$@" "${things[@]}" >/dev/null
  fi
}
