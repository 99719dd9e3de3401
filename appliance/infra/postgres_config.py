"""What the private cluster is told: server settings, how its files are made, who may connect. Pure."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

ROLE = "mcp_host"

#: For a box that has better use for its memory: the database holds configuration and logs, a few hundred megabytes at most.
_MODEST: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0777",  # the directory and peer authentication decide
    "max_connections": "40",
    "shared_buffers": "24MB",
    "work_mem": "2MB",
    "maintenance_work_mem": "16MB",
    "autovacuum_max_workers": "2",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "256MB",
    "huge_pages": "off",
    "jit": "off",
    # What a failing statement says carries values, and values may be secrets. Its client is told; the log is not.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_line_prefix": "%m [%p] ",
}


def options(
    major: int, socket_dir: Path, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the server's settings. Pure."""
    # From 18 on, input and output have three worker processes unless told otherwise.
    quiet = {"io_method": "sync"} if major >= 18 else {}  # noqa: PLR2004 - a Postgres version
    return {
        **_MODEST,
        **quiet,
        "unix_socket_directories": str(socket_dir),
        **(extra or {}),
    }


def initdb_arguments(major: int, data: Path) -> list[str]:
    """Return what initdb is told. Pure.

    Text sorts by code point everywhere, so that no upgrade of the C library can spoil an index.
    """
    builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [
        "-D", str(data), "-U", ROLE, "--auth=peer", "-E", "UTF8", "--locale=C.UTF-8",
        *(builtin if major >= 17 else []),  # noqa: PLR2004 - a Postgres version
        "--data-checksums",
    ]  # fmt: skip


def access_files(users: list[str]) -> dict[str, str]:
    """Return pg_hba.conf and pg_ident.conf that let in ``users`` of this box and nobody else. Pure."""
    quoted = [name.replace('"', '""') for name in users]
    return {
        "pg_hba.conf": "local all all peer map=appliance\n",
        "pg_ident.conf": "".join(f'appliance "{name}" {ROLE}\n' for name in quoted),
    }


def socket_url(socket_dir: Path, database: str = "postgres") -> str:
    """Return the address of a database behind the socket in ``socket_dir``. Pure."""
    return f"postgresql://{ROLE}@/{quote(database)}?host={quote(str(socket_dir))}"
