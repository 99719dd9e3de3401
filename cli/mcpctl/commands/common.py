"""What every command shares."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import click

from mcpctl import config
from mcpctl.client import Client
from mcpctl.errors import CommandError, NotLoggedInError

F = TypeVar("F", bound=Callable[..., Any])
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def json_option(function: F) -> F:
    """Add ``--json``, which the function gets as ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON for programs."
    )(function)


def output_option(function: F) -> F:
    """Add ``--output json|table``, and ``--json`` for the same; the function gets ``as_json``."""

    @functools.wraps(function)
    def call(*args: Any, output: str, as_json: bool, **kwargs: Any) -> Any:
        return function(*args, as_json=as_json or output == "json", **kwargs)

    choice = click.Choice(["table", "json"])
    option = click.option(
        "--output",
        "-o",
        type=choice,
        default="table",
        help="For people, or for programs.",
    )
    return option(json_option(call))  # type: ignore[return-value]  # takes what the function takes, and the two


def client() -> Client:
    """Return a client with the configured key.

    Raises:
        NotLoggedInError: There is none.
    """
    found = config.load()
    if not found.api_key:
        raise NotLoggedInError(
            f"There is no API key for {found.url}.",
            hint="Run 'mcpctl login' or set MCPCTL_API_KEY.",
        )
    return Client(found.url, found.api_key, reason=config.reason())


def open_client() -> Client:
    """Return a client for what needs no key; it shows one if there is one."""
    found = config.load()
    return Client(found.url, found.api_key, reason=config.reason())


def moment(text: str | None) -> str | None:
    """Return a moment that was given as such, or as a time ago (``15m``), as the hub takes it.

    Raises:
        CommandError: It is neither.
    """
    if text is None:
        return None
    unit = _UNITS.get(text[-1:])
    if unit and text[:-1].isdigit():
        return (datetime.now(UTC) - int(text[:-1]) * unit).isoformat()
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(
            f"{text!r} is no moment.",
            hint="Give a time ago, such as 90s, 15m, 2h or 3d, or a moment such as 2026-01-31T08:00:00Z.",
        ) from error
    return (found if found.tzinfo else found.astimezone()).isoformat()
