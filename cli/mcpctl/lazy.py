"""A group of commands that are imported when they are asked for."""

import importlib
from collections.abc import Mapping
from typing import cast

import click


class LazyGroup(click.Group):
    """A group that knows its commands by address.

    Args:
        addresses: Command name to ``module:attribute``.
    """

    def __init__(
        self,
        *args: object,
        addresses: Mapping[str, str] | None = None,
        **attributes: object,
    ) -> None:
        """Keep the addresses."""
        super().__init__(*args, **attributes)  # type: ignore[arg-type]  # click's own arguments, passed on
        self._addresses = dict(addresses or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order they were written."""
        return [*self._addresses, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return the command."""
        address = self._addresses.get(cmd_name)
        if address is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = address.partition(":")
        return cast(click.Command, getattr(importlib.import_module(module), attribute))
