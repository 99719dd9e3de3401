"""Chains of hashes that the hub keeps: how a check of one is asked for and told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import click

from mcpctl.commands.common import client
from mcpctl.errors import CommandError
from mcpctl.output import emit_json, table

#: Seconds; the hub reads the whole chain for it.
VERIFY_S = 600


class ChainBrokenError(CommandError):
    """A chain is not what was written."""

    exit_code = 1


def known_option(place: str) -> Callable[[Any], Any]:
    """Return the option that names what an earlier check printed; ``place`` is what stands before the hash."""
    return click.option(
        "--known",
        metavar=f"{place}:HASH",
        help="What an earlier check printed as 'known': the chain must still go through there.",
    )


@dataclass(frozen=True)
class Chain:
    """A chain of the hub's."""

    #: Where the API checks it.
    path: str
    #: What people call the whole, and one of it.
    whole: str
    noun: str
    #: Where the answer says how many there are, and a break at which one it is.
    count: str
    place: str


def check(chain: Chain, known: str | None, *, as_json: bool) -> None:
    """Have the hub compare a chain with its hashes, and tell what it found.

    Args:
        chain: Which.
        known: A place that the chain must go through.
        as_json: Whether the answer is printed as it came.

    Raises:
        ChainBrokenError: Somewhere it does not hold.
    """
    query = f"?{urlencode({'known': known})}" if known else ""
    found = client().send("GET", f"{chain.path}{query}", timeout_s=VERIFY_S).json()
    if as_json:
        emit_json(found)
    elif found["is_intact"]:
        click.echo(f"All {found[chain.count]} {chain.noun}s are as they were written.")
        click.echo(f"known  {found['known']}")
    if found["is_intact"]:
        return
    if not as_json:
        table(
            (chain.noun, "what", "message"),
            [
                (item[chain.place], item["what"], item["message"])
                for item in found["breaks"]
            ],
            empty="",
        )
    raise ChainBrokenError(f"The {chain.whole} is not what was written.")
