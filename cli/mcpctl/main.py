"""The ``mcpctl`` command: a group whose parts are loaded when they are asked for."""

import json
import sys

import click

from mcpctl import __version__
from mcpctl.errors import CommandError
from mcpctl.lazy import LazyGroup

#: Command to where it lives; nothing of it is imported before it is called or help is shown.
COMMANDS = {
    "login": "mcpctl.commands.account:login",
    "logout": "mcpctl.commands.account:logout",
    "whoami": "mcpctl.commands.account:whoami",
    "servers": "mcpctl.commands.servers:servers",
    "deployments": "mcpctl.commands.deployments:deployments",
    "files": "mcpctl.commands.files:files",
    "services": "mcpctl.commands.services:services",
    "domains": "mcpctl.commands.domains:domains",
    "tools": "mcpctl.commands.tool_reviews:tools",
    "egress": "mcpctl.commands.egress:egress",
    "secrets": "mcpctl.commands.secrets:secrets",
    "logs": "mcpctl.commands.logs:logs",
    "metrics": "mcpctl.commands.metrics:metrics",
    "bundles": "mcpctl.commands.bundles:bundles",
    "orgs": "mcpctl.commands.orgs:orgs",
    "quotas": "mcpctl.commands.quotas:quotas",
    "invocations": "mcpctl.commands.invocations:invocations",
    "policy": "mcpctl.commands.policy:policy",
    "marketplace": "mcpctl.commands.marketplace:marketplace",
    "artifacts": "mcpctl.commands.artifacts:artifacts",
    "backups": "mcpctl.commands.backups:backups",
    "registry": "mcpctl.commands.registry:registry",
    "certificates": "mcpctl.commands.certificates:certificates",
    "front-door": "mcpctl.commands.front_door:front_door",
    "evidence": "mcpctl.commands.evidence:evidence",
    "evaluations": "mcpctl.commands.evaluations:evaluations",
    "governance": "mcpctl.commands.governance:governance",
    "promotions": "mcpctl.commands.promotions:promotions",
    "verify": "mcpctl.commands.verify:verify",
    "audit": "mcpctl.commands.audit:audit",
    "alerts": "mcpctl.commands.alerts:alerts",
    "jobs": "mcpctl.commands.jobs:jobs",
    "users": "mcpctl.commands.users:users",
    "keys": "mcpctl.commands.keys:keys",
    "oauth": "mcpctl.commands.oauth:oauth",
    "accounts": "mcpctl.commands.accounts:accounts",
    "doctor": "mcpctl.commands.doctor:doctor",
    "health": "mcpctl.commands.system:health",
    "version": "mcpctl.commands.system:version",
    "system": "mcpctl.commands.system:system",
}


@click.group(
    cls=LazyGroup,
    addresses=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="mcpctl")
def main() -> None:
    """Host MCP servers, watch them build, call their tools.

    MCPCTL_URL and MCPCTL_API_KEY say which hub and who asks; without them, what 'mcpctl login' stored.
    """


def run() -> None:
    """Run the command; errors become a few lines on stderr and an exit code."""
    try:
        main.main(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more while it flushes.
        sys.stdout = None
        sys.exit(0)
    except CommandError as error:
        _show(error)
        sys.exit(error.exit_code)


def _show(error: CommandError) -> None:
    if "--json" in sys.argv:
        click.echo(json.dumps(error.as_json(), indent=2), err=True)
        return
    for line in error.lines():
        click.echo(line, err=True)
