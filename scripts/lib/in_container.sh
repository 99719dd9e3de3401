#!/usr/bin/env bash
# mcp-host in the container image: docker exec comes as root, whom the private Postgres does not know.
set -euo pipefail
exec /opt/mcp-host/scripts/run_prod.sh mcp-host "$@"
