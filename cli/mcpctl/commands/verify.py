"""verify: check signed evidence with files alone, or that of an artifact of the hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mcpctl.attestations import (
    Key,
    RefusedError,
    Statement,
    check,
    is_digest,
    read_keys,
)
from mcpctl.client import Client, path_of
from mcpctl.commands.common import client, json_option
from mcpctl.errors import CommandError
from mcpctl.output import emit_json, state, table


class NotVerifiedError(CommandError):
    """Something is not to be believed, or not there."""


@dataclass(frozen=True)
class Checked:
    """What came of one document."""

    name: str
    statement: Statement | None = None
    refused: RefusedError | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        found: dict[str, Any] = {"name": self.name, "verified": self.refused is None}
        if self.refused:
            found |= {"code": self.refused.code, "reason": self.refused.reason}
        if self.statement:
            found |= {
                "kind": self.statement.kind,
                "predicate_type": self.statement.predicate_type,
                "digests": list(self.statement.digests),
                "key_id": self.statement.key_id,
            }
        return found


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="BUNDLE_FILE... | ARTIFACT_ID")
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    help="Public key or keys, as 'mcpctl evidence key' prints them. Needed for files.",
)
@click.option("--digest", default="", help="sha256:… that each bundle must speak of.")
@json_option
def verify(
    what: tuple[str, ...], key_file: Path | None, digest: str, *, as_json: bool
) -> None:
    """Check signature, payload type, subject and predicate of bundles.

    Files are checked without a network. Of an artifact of the hub, every document is fetched, and held against the digests that
    the ledger has; without --key, the hub is asked for its key, too. The exit code is 0 only if all of it is good.
    """
    if digest and not is_digest(digest):
        raise CommandError(
            f"{digest!r} is no digest.",
            hint="Give one such as sha256:0123… with 64 digits.",
        )
    is_artifact = len(what) == 1 and what[0].isdigit() and not Path(what[0]).exists()
    if is_artifact:
        checked = _artifact(client(), int(what[0]), key_file, digest)
    elif key_file is None:
        raise CommandError(
            "Files are checked with a public key.",
            hint="Get it once, over a way that you trust: mcpctl evidence key > key.pem",
        )
    else:
        keys = _keys(key_file)
        checked = [_checked(name, _read(Path(name)), keys, digest) for name in what]
    _tell(checked, as_json=as_json)


def _artifact(
    hub: Client, artifact_id: int, key_file: Path | None, digest: str
) -> list[Checked]:
    """Return what came of every document that the artifact has and should have."""
    artifact = hub.get(path_of("artifacts", artifact_id))
    evidence = hub.get(path_of("artifacts", artifact_id, "evidence"))
    keys = _keys(key_file) if key_file else _keys_of(hub)
    checked = []
    for item in evidence["documents"]:
        name = f"{item['kind']} {item['platform']}".strip()
        wanted = _wanted(artifact, item["platform"])
        content = hub.send("GET", item["path"]).body
        checked.append(_about(_checked(name, content, keys, digest), wanted))
    there = {(item["kind"], item["platform"]) for item in evidence["documents"]}
    expected = [("provenance", "")] + [
        ("sbom", item["platform"]) for item in artifact["platforms"]
    ]
    for kind, platform in expected:
        if (kind, platform) not in there:
            reason = evidence["error"] or f"It is {evidence['state']}."
            refused = RefusedError("missing", f"There is none. {reason}")
            checked.append(Checked(f"{kind} {platform}".strip(), refused=refused))
    return checked


def _wanted(artifact: dict[str, Any], platform: str) -> list[str]:
    """Return the digests that a document about ``platform`` must name; empty: about all."""
    own = [
        item
        for item in artifact["platforms"]
        if not platform or item["platform"] == platform
    ]
    if not artifact["manifest_digest"]:
        return [item["image_id"] for item in own]
    return [artifact["manifest_digest"], *(item["digest"] for item in own)]


def _about(checked: Checked, wanted: Sequence[str]) -> Checked:
    """Refuse a good document that does not speak of all of ``wanted``."""
    if checked.statement is None:
        return checked
    absent = [item for item in wanted if item not in checked.statement.digests]
    if not absent:
        return checked
    reason = f"It says nothing of {', '.join(absent)}, which the ledger has."
    return Checked(checked.name, refused=RefusedError("wrong_digest", reason))


def _checked(name: str, content: bytes, keys: Sequence[Key], digest: str) -> Checked:
    try:
        return Checked(name, check(content, keys, digest=digest))
    except RefusedError as error:
        return Checked(name, refused=error)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error


def _keys(path: Path) -> list[Key]:
    try:
        return read_keys(_read(path))
    except RefusedError as error:
        raise CommandError(f"{path}: {error.reason}") from error


def _keys_of(hub: Client) -> list[Key]:
    listed = hub.get(path_of("evidence", "keys"))["items"]
    return read_keys("\n".join(item["pem"] for item in listed).encode())


def _tell(checked: list[Checked], *, as_json: bool) -> None:
    bad = [item for item in checked if item.refused]
    if as_json:
        emit_json({"verified": not bad, "items": [item.as_json() for item in checked]})
    else:
        table(
            ("what", "verdict", "kind", "of", "why not"),
            [
                (
                    item.name,
                    state("failed" if item.refused else "ok"),
                    item.statement.kind if item.statement else "",
                    ", ".join(d[:19] for d in item.statement.digests) if item.statement else "",
                    item.refused.reason if item.refused else "",
                )
                for item in checked
            ],
            empty="There is nothing to check.",
        )  # fmt: skip
    if bad or not checked:
        raise NotVerifiedError(f"Not verified: {len(bad)} of {len(checked)}.")
