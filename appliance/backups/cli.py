"""``mcp-host backup``, ``restore`` and ``backups``. Each imports what it needs when it runs."""

import json
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import click

from appliance.core.units import size
from appliance.settings import Settings, SettingsError, load_settings

MIGRATIONS = Path(__file__).parent.parent.parent / "migrations"
_FILE = click.Path(dir_okay=False, path_type=Path)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _version() -> str:
    try:
        return version("mcp-host")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0.0.0"


def _quiet() -> None:
    """Send what is worth a warning to standard error, and nothing else: there progress is told."""
    from appliance.observability import logs

    logs.configure("warning", "console", stream=sys.stderr.buffer)


def _teller() -> Callable[[Any], None]:
    """Return what shows progress: one line that moves on a terminal, a line a step elsewhere."""
    is_terminal = sys.stderr.isatty()
    shown: list[str] = []

    def tell(progress: Any) -> None:
        line = f"[{progress.number}/{progress.of}] {progress.step}"
        if is_terminal:
            amount = f"  {size(progress.bytes)}" if progress.bytes else ""
            click.echo(f"\r\033[K{line}{amount}", err=True, nl=False)
        elif line not in shown[-1:]:
            shown.append(line)
            click.echo(line, err=True)

    return tell


def _end_line() -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)


_passphrase = click.option(
    "--passphrase-file",
    type=_FILE,
    help="Its first line opens the backup. Default: BACKUP_PASSPHRASE_FILE; else it is asked for.",
)


@click.command()
@click.option(
    "--to",
    "target",
    metavar="TARGET",
    help="A directory, s3://bucket/prefix or ssh://user@host/path. Default: BACKUP_TARGET, else DATA_DIR/backups.",
)
@_passphrase
@click.option("--row", "backup_id", type=int, hidden=True)
def backup(
    *, target: str | None, passphrase_file: Path | None, backup_id: int | None
) -> None:
    """Back up everything, while it runs: database, files, /data of servers, images, settings and keys.

    Prints where the backup lies; it was read back and opened before it got its name.
    """
    from appliance.backups.command import Wanted, make
    from appliance.backups.targets.opening import default_target

    settings = _settings()
    _quiet()
    where = str(Path(target).absolute()) if target and "://" not in target else target
    wanted = Wanted(where, passphrase_file, backup_id)
    made = make(settings, wanted, version=_version(), tell=_teller())
    _end_line()
    click.echo(f"{(where or default_target(settings)).rstrip('/')}/{made.name}")
    click.echo(
        f"{size(made.size_bytes)} in {len(made.manifest.parts)} parts, {len(made.manifest.servers)} servers.",
        err=True,
    )


@click.command()
@click.argument("source")
@_passphrase
@click.option(
    "--verify-only", is_flag=True, help="Open and read everything, and change nothing."
)
@click.option(
    "--force",
    is_flag=True,
    help="Also where there is data already: it is put aside, and servers' /data is replaced.",
)
@click.option(
    "--env-file",
    type=_FILE,
    envvar="MCP_HOST_ENV_FILE",
    default=Path(".env"),
    show_default=True,
    help="Settings file that the backup's settings are written into; MCP_HOST_ENV_FILE names it, too.",
)
def restore(
    *,
    source: str,
    passphrase_file: Path | None,
    verify_only: bool,
    force: bool,
    env_file: Path,
) -> None:
    """Bring a backup back onto this box: SOURCE is a file, s3://bucket/prefix/NAME or ssh://user@host/path/NAME.

    The appliance must be stopped. Nothing of this box changes until all of the backup was opened and brought in.
    """
    from appliance.backups.command import Restore
    from appliance.backups.command import restore as bring_back

    settings = _settings_if_any()
    _quiet()
    wanted = Restore(source, passphrase_file, env_file, force, verify_only)
    try:
        result = bring_back(
            wanted,
            settings,
            version=_version(),
            migrations_dir=MIGRATIONS,
            tell=_teller(),
        )
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    _end_line()
    made = f"made {result.manifest.created_at:%Y-%m-%d %H:%M} UTC by MCP Host {result.manifest.version}"
    if verify_only:
        click.echo(f"The backup is whole: {len(result.manifest.parts)} parts, {made}.")
        return
    click.echo(f"Restored: {len(result.ways)} servers, {made}.")
    for note in result.notes:
        click.echo(note)
    for name, way in result.ways.items():
        if way.value in {"built", "pulled"}:
            click.echo(f"{name}: its image was not in the backup; it is {way.value}.")
    if result.aside:
        click.echo(f"What was here before is in {result.aside}; remove it when you need it no more.")  # fmt: skip
    click.echo("Start it now: mcp-host up, or: systemctl start mcp-host")


def _settings_if_any() -> Settings | None:
    """Return the settings; ``None``: a blank box has none yet."""
    try:
        return load_settings()
    except SettingsError:
        return None


@click.command()
@click.option(
    "--target", metavar="TARGET", help="Where to look. Default: BACKUP_TARGET."
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)  # fmt: skip
def backups(*, target: str | None, output: str) -> None:
    """List the backups at a target, newest first."""
    from appliance.backups.command import kept
    from appliance.backups.naming import parse

    where, found = kept(_settings(), target)
    named = [(parse(item.name), item) for item in found]
    ordered = sorted(
        ((name, item) for name, item in named if name),
        key=lambda pair: pair[0].at,
        reverse=True,
    )
    if output == "json":
        rows = [
            {
                "name": item.name,
                "target": where,
                "size_bytes": item.size_bytes,
                "at": name.at.isoformat(),
                "installation": name.installation,
                "is_scheduled": name.is_scheduled,
            }
            for name, item in ordered
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    if not ordered:
        click.echo(f"There are no backups at {where}. Make one: mcp-host backup")
    for name, item in ordered:
        kind = "scheduled" if name.is_scheduled else "by hand"
        click.echo(f"{name.at:%Y-%m-%d %H:%M} UTC  {size(item.size_bytes):>10}  {kind:<9}  {item.name}")  # fmt: skip


@click.command("backup-verify", hidden=True)
@click.argument("name")
@click.option("--target")
@click.option("--row", "backup_id", type=int)
def backup_verify(*, name: str, target: str | None, backup_id: int | None) -> None:
    """Read a backup at its target and open every part; the hub runs this."""
    from appliance.backups.command import Wanted, check

    settings = _settings()
    _quiet()
    check(settings, Wanted(target, None, backup_id), name, tell=_teller())


@click.command("backup-check", hidden=True)
@click.option("--target")
def backup_check(*, target: str | None) -> None:
    """Write something to a target, read it, remove it; the hub runs this."""
    from appliance.backups.targets.opening import default_target, open_target

    settings = _settings()
    click.echo(open_target(target or default_target(settings), settings).check())


@click.command("backup-remove", hidden=True)
@click.argument("name")
@click.option("--target", required=True)
def backup_remove(*, name: str, target: str) -> None:
    """Remove a backup from a target; the hub runs this."""
    from appliance.backups.naming import parse
    from appliance.backups.targets.opening import open_target

    if parse(name) is None:
        raise click.ClickException(f"{name} is not the name of a backup.")
    open_target(target, _settings()).remove(name)


COMMANDS = (backup, restore, backups, backup_verify, backup_check, backup_remove)
