#!/usr/bin/env bash
# Backs up everything of this installation while it runs; see docs/backup.md.
#
#   scripts/backup.sh [--to TARGET] [--passphrase-file FILE]
#
# Prints where the backup lies. Without options, BACKUP_TARGET and BACKUP_PASSPHRASE_FILE say where and how.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
exec .venv/bin/mcp-host backup "$@"
