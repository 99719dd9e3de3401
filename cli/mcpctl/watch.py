"""Watching a server until it settles: live build lines and every change of its status."""

import time
from collections.abc import Callable
from typing import Any

import click

from mcpctl.client import MAX_RECONNECTS, RECONNECT_AFTER_S, Client, path_of
from mcpctl.errors import ApiError, CommandError, UnreachableError
from mcpctl.output import printable_lines, state

#: What waits for somebody's evidence or approval.
HELD = frozenset({"pending-evaluation", "pending-governance"})
SETTLED = frozenset({"running", "degraded", "stopped", "error"}) | HELD
_NOT_FOUND = 404
_UNAVAILABLE = 503


class _Watch:
    """What was already shown."""

    def __init__(self, hub: Client, server: dict[str, Any], *, quiet: bool) -> None:
        self._hub = hub
        self._quiet = quiet
        self._deployment: int | None = None
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
        deployment = (self.server.get("deployment") or {}).get("id")
        if deployment != self._deployment:
            self._deployment, self._lines_seen = deployment, 0
        try:
            log = self._hub.get(
                path_of("servers", self.server["id"], "builds", "latest", "log"),
                after=self._lines_seen,
            )
        except ApiError as error:
            if error.status == _NOT_FOUND:  # nothing is built yet, or never will be
                return
            raise
        if log["deployment_id"] != deployment:
            return  # the build of an older deployment
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
        _patiently(watch.refresh)
        if watch.server["status"] in SETTLED:
            break
    found = watch.server
    if found["status"] in HELD:
        raise CommandError(
            f"{found['name']} is held: {found['status_reason']}",
            hint=f"'mcpctl policy explain {found['name']}' tells what is missing; it launches by itself afterwards.",
        )
    if found["status"] not in {"running", "degraded"}:
        raise CommandError(
            f"{found['name']} ended in {found['status']}: {found['status_reason'] or 'no reason was given.'}",
            hint=f"'mcpctl servers build-log {found['name']}' and 'mcpctl servers logs {found['name']}' tell more.",
        )
    return found


def _patiently(look: Callable[[], None]) -> None:
    """Look again while the hub or its database restarts: the build goes on without this program."""
    for _ in range(MAX_RECONNECTS):
        try:
            return look()
        except UnreachableError:
            time.sleep(RECONNECT_AFTER_S)
        except ApiError as error:
            if error.status != _UNAVAILABLE:
                raise
            time.sleep(RECONNECT_AFTER_S)
    return look()
