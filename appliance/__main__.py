"""The ``mcp-host`` command.

Each subcommand imports what it needs when it runs, so that ``--help`` is quick and the gateway stays small.
"""

import asyncio
import json
import sys
from pathlib import Path

import click

from appliance.backups.cli import COMMANDS as BACKUP_COMMANDS
from appliance.core.errors import DomainError
from appliance.doctor.cli import doctor
from appliance.settings import Settings, SettingsError, load_settings

MIGRATIONS = Path(__file__).parent.parent / "migrations"


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


class _Commands(click.Group):
    """Tells domain errors as sentences instead of tracebacks."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DomainError as error:
            raise click.ClickException(error.reason) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """MCP Host: hosts MCP servers on this box."""


@main.command()
@click.option(
    "--trial",
    is_flag=True,
    help="Only try whether it would get ready, beside the one that serves.",
)
def serve(*, trial: bool) -> None:
    """Run the hub: pages, REST API, jobs and clock."""
    from appliance.bootstrap import run_hub, try_hub

    if trial:
        try_hub(_settings())
    else:
        run_hub(_settings())


@main.command()
def version() -> None:
    """Tell which release this is."""
    from appliance.infra.releases import this_release

    click.echo(this_release().version)


@main.group()
def release() -> None:
    """Change the release of an installed box; scripts/upgrade.sh is the way to it."""


@release.command("switch")
@click.argument("to", required=False)
@click.option("--rollback", is_flag=True, help="Go back to the release before.")
@click.option(
    "--watch",
    "watch_s",
    type=click.FloatRange(min=0),
    default=20.0,
    show_default=True,
    help="Seconds for which all must stay well before the change counts.",
)
def release_switch(to: str | None, *, rollback: bool, watch_s: float) -> None:
    """Change to release TO, which is unpacked on this box already; when a check fails, back by itself."""
    from appliance.upgrades.home import Home
    from appliance.upgrades.switching import Switch

    if rollback == bool(to):
        raise click.UsageError("Give a release, or --rollback.")
    home = Home.found()
    begun = home.journal()
    if rollback:
        to = begun.origin if begun else home.before()
    switch = Switch(_settings(), home, click.echo, watch_s=watch_s)
    switch.to(str(to), is_back=rollback)


@release.command("list")
def release_list() -> None:
    """List the releases on this box, and what became of each change."""
    from appliance.upgrades.home import Home

    home = Home.found()
    for item in home.versions():
        click.echo(f"{'*' if item == home.version else ' '} {item}")
    for change in home.changes():
        click.echo(
            f"{change.at} {change.outcome} {change.origin or '-'} -> {change.to} {change.text}".rstrip()
        )


@release.command("note-installed", hidden=True)
def release_note_installed() -> None:
    """Note that this release was installed where there was none."""
    from appliance.upgrades.home import Home
    from appliance.upgrades.model import Journal, Outcome

    home = Home.found()
    if not home.changes():
        home.end(Journal("", home.version), Outcome.INSTALLED)


@release.command("refresh", hidden=True)
def release_refresh() -> None:
    """Have a running supervisord know the programs of this release."""
    from appliance.infra import supervisor

    for name in supervisor.refresh(_settings()):
        click.echo(name)


@main.command()
@click.option(
    "--check",
    is_flag=True,
    help="Only try whether it would come up, beside the one that serves.",
)
@click.option(
    "--handed", type=int, hidden=True, help="Where a predecessor left its things."
)
def gateway(*, check: bool, handed: int | None) -> None:
    """Run the gateway: every MCP call goes through it. SIGUSR2 has it become the current release's without a gap."""
    from appliance.gateway import start

    if check:
        start.check(_settings())
    else:
        start.run(_settings(), handed)


@main.command()
@click.option(
    "--remove", is_flag=True, help="Take the firewall's rules away, and do not run."
)
def egress(*, remove: bool) -> None:
    """Run the egress process: nothing of hosted servers leaves this box without it."""
    from appliance.egress import start

    if remove:
        start.remove(_settings())
    else:
        start.run(_settings())


@main.command()
def nginx() -> None:
    """Run Nginx, the front door, with a configuration and certificates that are made first where they are missing."""
    from appliance.proxy.start_nginx import exec_nginx

    exec_nginx(_settings())


@main.command()
def proxy() -> None:
    """Run the controller of the front door: domains, certificates, and what Nginx serves."""
    from appliance.proxy.start import run

    run(_settings())


@main.command()
def postgres() -> None:
    """Run the private Postgres cluster in the foreground, making it first where there is none."""
    from appliance.infra.postgres import exec_postgres

    exec_postgres(_settings())


@main.command()
@click.option(
    "--foreground", is_flag=True, help="Stay, as systemd and containers want it."
)
def up(*, foreground: bool) -> None:
    """Start Postgres, gateway, egress and hub under supervisord, which keeps them running."""
    from appliance.infra import supervisor

    if foreground:
        supervisor.exec_up(_settings())
    elif not supervisor.up(_settings()):
        click.echo("It runs already.")


@main.command()
def down() -> None:
    """Stop everything that ``up`` started; hosted servers' containers stay as they are."""
    from appliance.infra import supervisor

    if not supervisor.down(_settings()):
        click.echo("Nothing runs.")


@main.command()
def status() -> None:
    """Tell how each process is; exits 3 when nothing runs."""
    from appliance.infra import supervisor

    states = supervisor.status(_settings())
    if states is None:
        click.echo("Nothing runs.")
        sys.exit(3)
    for item in states:
        click.echo(f"{item.name:<12} {item.state:<10} {item.description}")


@main.command("database-url")
def database_url_command() -> None:
    """Print where the database is, for psql and scripts; it may hold a password."""
    from appliance.infra.postgres import database_url

    click.echo(database_url(_settings()))


@main.command()
@click.option(
    "--status",
    "only_status",
    is_flag=True,
    help="List the migrations and change nothing.",
)
def migrate(*, only_status: bool) -> None:
    """Bring the database's schema up to this version."""
    from contextlib import closing

    from appliance.infra import migrations
    from appliance.infra.database import connect, connection_arguments
    from appliance.infra.postgres import database_url

    with closing(
        connect(connection_arguments(database_url(_settings())))
    ) as connection:
        if not only_status:
            applied = migrations.migrate(connection, MIGRATIONS)
            click.echo(
                f"{len(applied)} applied"
                + (f": {', '.join(applied)}" if applied else "")
            )
        for item in migrations.status(connection, MIGRATIONS):
            when = (
                f"applied {item.applied_at:%Y-%m-%d %H:%M:%S} UTC"
                if item.applied_at
                else "pending"
            )
            click.echo(f"{item.name:<40} {when}")


@main.group()
def user() -> None:
    """Manage people from the box itself."""


@user.command("create")
@click.option("--email", required=True, help="E-mail address to sign in with.")
@click.option(
    "--admin", is_flag=True, help="Make an administrator instead of a member."
)
@click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from standard input instead of generating one.",
)
def user_create(*, email: str, admin: bool, password_stdin: bool) -> None:
    """Create a person and print the generated password as JSON, this once."""
    from appliance.bootstrap import create_user
    from appliance.observability import logs

    settings = _settings()
    # Standard output is for the answer alone.
    logs.configure(settings.log_level, settings.log_format, stream=sys.stderr.buffer)
    password = sys.stdin.readline().rstrip("\n") if password_stdin else None
    created = asyncio.run(
        create_user(settings, email=email, is_admin=admin, password=password)
    )
    click.echo(json.dumps(created))


@main.group()
def secrets() -> None:
    """See to the master key from the box itself."""


@secrets.command("rotate-master")
def secrets_rotate_master() -> None:
    """Make a new master key; the hub brings every value under it, and then forgets the old one."""
    from appliance.bootstrap import rotate_master_key
    from appliance.observability import logs

    settings = _settings()
    logs.configure(settings.log_level, settings.log_format, stream=sys.stderr.buffer)
    state = asyncio.run(rotate_master_key(settings))
    click.echo(f"{state.current}: {state.waiting} values follow.")


@main.command("docs-configuration")
def docs_configuration() -> None:
    """Print docs/configuration.md as the settings say it."""
    from appliance.settings_docs import configuration_markdown

    click.echo(configuration_markdown(), nl=False)


for command in (*BACKUP_COMMANDS, doctor):
    main.add_command(command)


if __name__ == "__main__":
    main()
