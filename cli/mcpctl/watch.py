"""Watching a server until it settles: live build lines and every change of its status."""

from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.errors import ApiError, CommandError
from mcpctl.output import printable_lines, state

SETTLED = frozenset({"running", "degraded", "stopped", "error"})
_NOT_FOUND = 404


class _Watch:
    """What was already shown."""

    def __init__(self, hub: Client, server: dict[str, Any], *, quiet: bool) -> None:
        self._hub = hub
        self._quiet = quiet
        self._build_id: int | None = None
        self._lines_seen = 0
        self._status = ""
        self.server = server

    def refresh(self) -> None:
        """Show what is new."""
        self.server = self._hub.get(path_of("servers", self.server["id"]))
        self._show_lines()
        if self.server["status"] != self._status:
            self._status = self.server["status"]
            self._say(f"==> {state(self._status)}")

    def _show_lines(self) -> None:
        deployment = self.server.get("deployment") or {}
        try:
            log = self._hub.get(
                path_of("servers", self.server["id"], "builds", "latest", "log"),
                after=self._lines_seen,
            )
        except ApiError as error:
            if error.status == _NOT_FOUND:  # nothing is built yet, or never will be
                return
            raise
        if log["deployment_id"] != deployment.get("id"):
            return  # the build of an older deployment
        if log["build_id"] != self._build_id:
            self._build_id = log["build_id"]
        for line in log["items"]:
            self._lines_seen = line["number"]
            for text in printable_lines(line["text"]):
                self._say(f"    {text}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            click.echo(text, err=True)


def wait_until_settled(
    hub: Client, server: dict[str, Any], *, quiet: bool
) -> dict[str, Any]:
    """Show how the server comes up, and return it when it runs.

    Raises:
        CommandError: It settled as anything but running; carries its reason.
    """
    watch = _Watch(hub, server, quiet=quiet)
    # The stream starts with what is, so nothing can happen between a first look and the subscription.
    for _ in hub.events(path_of("servers", server["id"], "events")):
        watch.refresh()
        if watch.server["status"] in SETTLED:
            break
    found = watch.server
    if found["status"] not in {"running", "degraded"}:
        raise CommandError(
            f"{found['name']} ended in {found['status']}: {found['status_reason'] or 'no reason was given.'}",
            hint=f"'mcpctl servers build-log {found['name']}' and 'mcpctl servers logs {found['name']}' tell more.",
        )
    return found
