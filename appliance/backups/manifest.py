"""A manifest as JSON, and whether this program can bring one back. Pure."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from appliance.backups.errors import BackupDamagedError, RestoreRefusedError
from appliance.backups.model import (
    ImageWay,
    KeptImage,
    KeptServer,
    Manifest,
    Moment,
    Part,
)

FORMAT = 1


def write(manifest: Manifest) -> bytes:
    """Return the manifest as text, the same for the same manifest."""
    data = asdict(manifest) | {"created_at": manifest.created_at.isoformat()}
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def read(text: bytes) -> Manifest:
    """Return what ``write`` wrote.

    Raises:
        BackupDamagedError: It is something else, or of a format that this program does not know.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        known = data["format"]
        if known != FORMAT:
            raise RestoreRefusedError(
                f"The backup has format {known}; this version of MCP Host knows format {FORMAT}.",
                hint="Bring it back with the version that made it, or a newer one.",
            )
        return _manifest(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupDamagedError(
            "manifest.json is not that of a backup.",
            hint="Is this a file that 'mcp-host backup' made?",
        ) from error


def _manifest(data: Mapping[str, Any]) -> Manifest:
    return Manifest(
        format=data["format"],
        version=data["version"],
        schema=int(data["schema"]),
        installation=data["installation"],
        created_at=datetime.fromisoformat(data["created_at"]),
        postgres=int(data["postgres"]),
        parts=tuple(Part(**item) for item in data["parts"]),
        servers=tuple(_server(item) for item in data["servers"]),
        images=tuple(_image(item) for item in data["images"]),
    )


def _image(item: Mapping[str, Any]) -> KeptImage:
    return KeptImage(item["image"], tuple(item["tags"]), tuple(item["digests"]))


def _server(item: Mapping[str, Any]) -> KeptServer:
    return KeptServer(
        id=int(item["id"]),
        name=item["name"],
        is_wanted=item["is_wanted"],
        way=ImageWay(item["way"]),
        image=_image(item["image"]) if item["image"] else None,
        moment=Moment(item["moment"]) if item["moment"] else None,
        disk_bytes=item["disk_bytes"],
    )


def require_known_schema(manifest: Manifest, *, newest: int) -> None:
    """Refuse a backup whose database this program is too old for.

    Raises:
        RestoreRefusedError: It is.
    """
    if manifest.schema > newest:
        raise RestoreRefusedError(
            f"The backup is of MCP Host {manifest.version} with migration {manifest.schema:04d}; this version knows"
            f" migrations up to {newest:04d} and cannot go back.",
            hint="Install that version or a newer one, and restore again.",
        )
