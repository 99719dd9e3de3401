"""servers webhook: redeploys started from outside."""

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.output import age, emit_json, pairs, state, table


@click.group()
def webhook() -> None:
    """Let a secret, or a push on GitHub, redeploy a server."""


@webhook.command()
@click.argument("server")
@json_option
def show(server: str, *, as_json: bool) -> None:
    """Show a server's webhook and its last calls."""
    found = client().get(path_of("servers", server, "webhook"))
    if as_json:
        emit_json(found)
        return
    made = f"made {age(found['created_at'])} ago by {found['created_by']}"
    pairs(
        [
            ("secret", made if found["is_on"] else "none: nobody can call"),
            ("url", found["url"]),
            ("github", found["github_url"]),
        ]
    )
    click.echo()
    table(
        ("when", "door", "event", "outcome", "what came of it", "deployment"),
        [
            (age(item["at"]), item["door"], item["event"], state(item["outcome"]),
             item["detail"], item["deployment"] or "")
            for item in found["deliveries"]
        ],
        empty="Nobody has called yet.",
    )  # fmt: skip


@webhook.command()
@click.argument("server")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def secret(server: str, *, yes: bool, as_json: bool) -> None:
    """Make the secret, or a new one; it is shown this once, and the old one stops working."""
    hub = client()
    place = path_of("servers", server, "webhook")
    if not yes and hub.get(place)["is_on"]:
        question = (
            f"Replace the webhook's secret of {server}? Who calls it needs the new one."
        )
        click.confirm(question, abort=True, err=True)
    made = hub.post(f"{place}/secret")
    if as_json:
        emit_json(made)
        return
    click.echo(made["secret"])
    click.echo("Keep it: it is not shown again. Call it with", err=True)
    click.echo(f"  curl -fsS -X POST -H 'X-Webhook-Secret: …' {made['url']}", err=True)
    click.echo(f"or give it to GitHub, for {made['github_url']}", err=True)


@webhook.command()
@click.argument("server")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(server: str, *, yes: bool, as_json: bool) -> None:
    """Forget the secret: nobody can start a redeploy from outside."""
    if not yes:
        click.confirm(f"Remove the webhook of {server}?", abort=True, err=True)
    client().delete(path_of("servers", server, "webhook"))
    if as_json:
        emit_json({"removed": server})
    else:
        click.echo(f"The webhook of {server} is removed.")
