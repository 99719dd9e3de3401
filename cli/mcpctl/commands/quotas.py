"""quotas: how much may be built and kept, and how much is."""

from typing import Any

import click

from mcpctl.client import path_of
from mcpctl.commands.common import client, json_option
from mcpctl.commands.users import id_of
from mcpctl.output import emit_json, pairs
from mcpctl.transfers import size

MIB = 1024**2
user_option = click.option("--user", help="Of a person, by id or e-mail; for administrators.")  # fmt: skip
org_option = click.option("--org", help="Of an organisation, by name or id.")


@click.group()
def quotas() -> None:
    """Build minutes of a month, and disk: what is allowed, and what is used."""


@quotas.command()
@user_option
@org_option
@json_option
def show(user: str | None, org: str | None, *, as_json: bool) -> None:
    """Show your own quotas, or somebody else's."""
    _emit(client().get(_path(user, org)), as_json=as_json)


@quotas.command("set")
@user_option
@org_option
@click.option("--build-minutes", help="A month's minutes, any, or default.")
@click.option("--disk-mib", help="MiB of images, /data and uploads, any, or default.")
@json_option
def set_quotas(
    *,
    user: str | None,
    org: str | None,
    build_minutes: str | None,
    disk_mib: str | None,
    as_json: bool,
) -> None:
    """Say how much somebody may have, for administrators; default: what the box's settings say."""
    if user is None and org is None:
        raise click.UsageError("Say whose: --user or --org.")
    given = {"build_minutes": build_minutes, "disk_mib": disk_mib}
    body = {name: _amount(name, text) for name, text in given.items() if text}
    if not body:
        raise click.UsageError("Say what to set: --build-minutes or --disk-mib.")
    changed = client().send("PATCH", _path(user, org), body).json()
    _emit(changed, as_json=as_json)


def _path(user: str | None, org: str | None) -> str:
    if user is not None and org is not None:
        raise click.UsageError("Give either --user or --org.")
    if org is not None:
        return path_of("orgs", org, "quotas")
    return path_of("me", "quotas") if user is None else path_of("users", id_of(user), "quotas")  # fmt: skip


def _amount(name: str, text: str) -> int | str | None:
    if text == "default":
        return text
    if text != "any" and not text.isdigit():
        option = "--" + name.replace("_", "-")
        raise click.UsageError(f"{option} takes a number, any, or default.")
    return None if text == "any" else int(text)


def _emit(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(found)
        return
    minutes, disk = found["build_minutes"], found["disk"]
    allowed = "any number" if minutes["limit"] is None else minutes["limit"]
    limit = disk["limit_bytes"]
    parts = (("images", "images_bytes"), ("/data", "data_bytes"), ("uploads", "uploads_bytes"))  # fmt: skip
    pairs(
        [
            ("build minutes", f"{minutes['used']:g} of {allowed}{_level(minutes)}"),
            ("builds that run", minutes["running"]),
            ("counted anew", minutes["resets_at"]),
            ("disk", f"{size(disk['used_bytes'])} of {'any' if limit is None else size(limit)}{_level(disk)}"),
            *((name, size(disk[field])) for name, field in parts),
            ("measured", disk["measured_at"] or "not yet"),
        ]
    )  # fmt: skip


def _level(part: dict[str, Any]) -> str:
    told = {"warning": ", 80 % and more", "reached": ", used up"}
    return told.get(part["level"], "")
