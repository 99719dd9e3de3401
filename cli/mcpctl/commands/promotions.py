"""promotions: tracks, what moves along them, and trains."""

import time
from typing import Any

import click

from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, output_option
from mcpctl.errors import CommandError
from mcpctl.output import age, emit_json, pairs, state, table

#: Seconds between two looks at a promotion.
LOOK_S = 0.5
SETTLED = frozenset({"active", "superseded", "rolled_back"})
_DIGEST = len("sha256:") + 12
wait_option = click.option(
    "--wait", is_flag=True, help="Until it has settled; exits 1 unless it is active."
)
reason_option = click.option("--reason", default="", help="Kept in the history.")


@click.group()
def promotions() -> None:
    """Promote versions along tracks. TRACK is a name or an id, PROMOTION and TRAIN are numbers."""


@promotions.command()
@output_option
def tracks(*, as_json: bool) -> None:
    """Show tracks."""
    found = client().get_all("/api/promotions/tracks")
    if as_json:
        emit_json({"items": found})
        return
    table(
        ("name", "stages", "tier", "workflow", "changed"),
        [
            (
                item["name"],
                " > ".join(stage["name"] for stage in item["stages"]),
                item["tier"],
                item["workflow"] or "people approve",
                age(item["updated_at"]),
            )
            for item in found
        ],
        empty="No tracks. 'mcpctl promotions create-track NAME STAGE…' makes one.",
    )


@promotions.command("create-track")
@click.argument("name")
@click.argument("stages", nargs=-1, required=True, metavar="STAGE[=WORKFLOW]...")
@click.option("--workflow", help="Of the stages that name none; absent: people approve.")  # fmt: skip
@click.option("--tier", default="*", show_default=True, help="Pattern of tiers.")
@click.option("--description", default="", help="For people.")
@click.option("--allow-self", is_flag=True, help="Whoever schedules may also approve.")
@click.option("--org", help="The organisation that it is for; absent: you.")
@output_option
def create_track(
    name: str, stages: tuple[str, ...], *, as_json: bool, **about: Any
) -> None:
    """Make a track of stages, the first one first."""
    named = (stage.partition("=") for stage in stages)
    body = {
        "name": name,
        "stages": [{"name": stage, "workflow": own or None} for stage, _, own in named],
        **{key: value for key, value in about.items() if value is not None},
    }
    made = client().post("/api/promotions/tracks", body)
    if as_json:
        emit_json(made)
    else:
        pairs([("track", made["name"]), ("stages", ", ".join(item["name"] for item in made["stages"]))])  # fmt: skip


@promotions.command("delete-track")
@click.argument("track")
def delete_track(track: str) -> None:
    """Remove a track with its history; nothing on it may be active or on its way."""
    client().delete(path_of("promotions", "tracks", track))
    click.echo(f"{track} is gone.")


@promotions.command()
@click.argument("track")
@output_option
def board(track: str, *, as_json: bool) -> None:
    """Show what is in each stage of a track, or on its way there."""
    found = client().get(path_of("promotions", "tracks", track, "board"))
    if as_json:
        emit_json(found)
        return
    _table([item for stage in found["stages"] for item in stage["promotions"]])


@promotions.command()
@click.argument("track")
@click.argument("stage")
@click.argument("artifacts", nargs=-1, required=True, metavar="ARTIFACT|DIGEST...")
@click.option("--tier", default="", help="Of a digest; absent: as the ledger rates it.")
@wait_option
@output_option
def schedule(
    track: str,
    stage: str,
    artifacts: tuple[str, ...],
    tier: str,
    *,
    wait: bool,
    as_json: bool,
) -> None:
    """Send artifacts, by number or digest, on their way to a stage; several become active together, or none does."""
    hub = client()
    wanted = [
        {"artifact_run_id": int(item), "tier": tier}
        if item.isdigit()
        else {"manifest_digest": item, "tier": tier}
        for item in artifacts
    ]
    body = {"track": track, "stage": stage}
    if len(wanted) == 1:
        made = hub.post("/api/promotions/schedule", body | wanted[0])
        _end(hub, made, wait=wait, as_json=as_json)
        return
    train = hub.post("/api/promotions/trains", body | {"artifacts": wanted})
    if wait:
        for item in train["promotions"]:
            _waited(hub, item["id"])
        train = hub.get(path_of("promotions", "trains", train["id"]))
    _tell_train(train, as_json=as_json)
    if wait and any(item["status"] != "active" for item in train["promotions"]):
        raise CommandError(f"Train {train['id']} is not active.")


@promotions.command()
@click.argument("promotion", type=int)
@wait_option
@output_option
def show(promotion: int, *, wait: bool, as_json: bool) -> None:
    """Show a promotion and what happened to it."""
    hub = client()
    _end(hub, hub.get(_path(promotion)), wait=wait, as_json=as_json)


@promotions.command()
@click.argument("promotion", type=int)
@click.option("--comment", default="", help="Kept in the log.")
@wait_option
@output_option
def approve(promotion: int, comment: str, *, wait: bool, as_json: bool) -> None:
    """Approve the step of its run that waits for people, or itself where no workflow decides."""
    hub = client()
    made = hub.post(_path(promotion, "approve"), {"comment": comment})
    _end(hub, made, wait=wait, as_json=as_json)


def _mover(name: str, words: str) -> click.Command:
    """Return the command that does one thing with a promotion."""

    @click.argument("promotion", type=int)
    @reason_option
    @output_option
    def move(promotion: int, reason: str, *, as_json: bool) -> None:
        found = client().post(_path(promotion, name), {"reason": reason})
        _tell(found, as_json=as_json)

    return click.command(name, help=words)(move)


promotions.add_command(_mover("reject", "End one that is on its way, and its train."))
promotions.add_command(_mover("hold", "Keep one from becoming active until released."))
promotions.add_command(_mover("release", "Let a held one go on."))
promotions.add_command(_mover("rollback", "End an active one; the version before comes back."))  # fmt: skip


@promotions.command()
@click.argument("train", type=int)
@click.argument("deed", required=False, type=click.Choice(["approve", "reject", "rollback"]))  # fmt: skip
@reason_option
@output_option
def train(train: int, deed: str | None, reason: str, *, as_json: bool) -> None:
    """Show a train, or do something with all of it."""
    hub, path = client(), path_of("promotions", "trains", train)
    found = hub.post(f"{path}/{deed}", {"reason": reason}) if deed else hub.get(path)
    _tell_train(found, as_json=as_json)


@promotions.command()
@click.option("--track", help="Only of this track.")
@click.option("--digest", help="Only of this digest.")
@click.option("--status", help="Only in this status.")
@output_option
def history(
    track: str | None, digest: str | None, status: str | None, *, as_json: bool
) -> None:
    """Show promotions, newest first."""
    found = client().get(
        "/api/promotions/history", track=track, digest=digest, status=status
    )
    if as_json:
        emit_json(found)
    else:
        _table(found["items"])


def _end(hub: Client, made: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    found = _waited(hub, made["id"]) if wait else made
    _tell(found, as_json=as_json)
    if wait and found["status"] != "active":
        raise CommandError(
            f"Promotion {found['id']} is {found['status']}: {found['reason']}"
        )


def _waited(hub: Client, promotion: int) -> dict[str, Any]:
    """Return a promotion once it has settled, telling each status on the way."""
    said = ""
    while True:
        found: dict[str, Any] = hub.get(_path(promotion))
        if found["status"] != said:
            said = found["status"]
            click.echo(f"==> {state(said)}", err=True)
        if said in SETTLED:
            return found
        time.sleep(LOOK_S)


def _tell(item: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(item)
        return
    pairs(
        [
            ("promotion", item["id"]),
            ("version", f"{item['server_name']} {item['manifest_digest']}".strip()),
            ("to", f"{item['stage']} of {item['track']}"),
            ("tier", item["tier"]),
            ("status", state(item["status"])),
            ("held", item["hold_reason"] or "yes" if item["is_held"] else "no"),
            ("reason", item["reason"] or "-"),
            ("run", item["governance_run_id"] or "-"),
        ]
    )


def _tell_train(train: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        emit_json(train)
        return
    pairs([("train", train["id"]), ("name", train["name"]), ("to", train["stage"])])
    click.echo()
    _table(train["promotions"])


def _table(items: list[dict[str, Any]]) -> None:
    table(
        ("promotion", "version", "digest", "track", "stage", "status", "changed"),
        [
            (
                item["id"],
                item["server_name"] or "-",
                item["manifest_digest"][:_DIGEST],
                item["track"],
                item["stage"],
                state(item["status"]) + (" (held)" if item["is_held"] else ""),
                age(item["updated_at"]),
            )
            for item in items
        ],
        empty="No promotions.",
    )


def _path(promotion: int, *parts: str) -> str:
    return path_of("promotions", promotion, *parts)
