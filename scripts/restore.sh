#!/usr/bin/env bash
# Brings a backup back onto this box, or only looks whether it is whole; see docs/backup.md.
#
#   scripts/restore.sh FILE|s3://BUCKET/NAME|ssh://HOST/PATH/NAME [--passphrase-file FILE] [--verify-only] [--force]
#
# The appliance must be stopped: scripts/quickstart.sh stop, or systemctl stop mcp-host.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
exec .venv/bin/mcp-host restore "$@"
