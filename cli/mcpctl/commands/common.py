"""What every command shares."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from mcpctl import config
from mcpctl.client import Client
from mcpctl.errors import NotLoggedInError

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """Add ``--json``, which the function gets as ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON for programs."
    )(function)


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
    return Client(found.url, found.api_key)


def open_client() -> Client:
    """Return a client for what needs no key; it shows one if there is one."""
    found = config.load()
    return Client(found.url, found.api_key)
