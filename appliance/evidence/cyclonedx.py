"""A bill of materials as CycloneDX 1.6 JSON. Pure: the same image and run give the same bytes.

The document is plain JSON rather than a library's objects: it is written once, in one shape, and never read back; the tests
hold it against the official schema.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.evidence.inventory import Package, is_expression
from appliance.evidence.model import Lock, Subject
from appliance.evidence.provenance import moment
from appliance.evidence.purl import image_purl
from appliance.evidence.scanning import File, Inventory

PREDICATE_TYPE = "https://cyclonedx.org/bom"
#: What a property is called that tells of a lock file; its path follows.
_LOCK = "mcp-host:lock:/"
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"


@dataclass(frozen=True)
class Described:
    """The image that a bill is of."""

    subject: Subject
    platform: str
    #: The engine's id of it, by which the files were read.
    image_id: str
    #: When it was built.
    at: datetime
    #: Version of the appliance that looked.
    version: str


def bill(image: Described, found: Inventory) -> dict[str, Any]:
    """Return the bill of one platform's image."""
    container = _container(image, found)
    components = _packages(found.packages) + _files(found.files)
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, _seed(image))}",
        "version": 1,
        "metadata": {
            "timestamp": moment(image.at),
            "tools": {
                "components": [
                    {
                        "type": "application",
                        "name": "mcp-host",
                        "version": image.version,
                    }
                ]
            },
            "component": container,
        },
        "components": components,
        "dependencies": [
            {
                "ref": container["bom-ref"],
                "dependsOn": sorted({item["bom-ref"] for item in components}),
            }
        ],
        "compositions": [_composition(container["bom-ref"], found)],
    }


def locks_of(document: Mapping[str, Any]) -> list[Lock]:
    """Return the lock files that a bill of ours tells of."""
    properties = document["metadata"]["component"]["properties"]
    return [
        Lock(item["name"].removeprefix(_LOCK), item["value"])
        for item in properties
        if item["name"].startswith(_LOCK)
    ]


def _seed(image: Described) -> str:
    return f"{image.image_id} {image.subject.digest} {moment(image.at)}"


def _container(image: Described, found: Inventory) -> dict[str, Any]:
    properties = {
        "mcp-host:platform": image.platform,
        "mcp-host:image-id": image.image_id,
        "mcp-host:distribution": found.distribution.title,
    }
    container: dict[str, Any] = {
        "type": "container",
        "bom-ref": "image",
        "name": image.subject.name,
        "version": image.subject.digest,
        "properties": _properties(properties.items()),
    }
    if not image.subject.is_local:
        container["purl"] = image_purl(image.subject.name, image.subject.digest)
    for path, value in sorted(found.locks.items()):
        container["properties"] += _properties([(f"{_LOCK}{path}", value)])
    return container


def _composition(ref: str, found: Inventory) -> dict[str, Any]:
    # Not "complete": what was compiled into a program, or copied without a list, is not seen.
    kind = "incomplete" if found.omissions else "unknown"
    return {"aggregate": kind, "assemblies": [ref]}


def _packages(packages: Iterable[Package]) -> list[dict[str, Any]]:
    """Return one component for each package URL, with every place where it was found."""
    places: dict[str, list[Package]] = {}
    for package in packages:
        places.setdefault(package.purl, []).append(package)
    return [_package(purl, found) for purl, found in sorted(places.items())]


def _package(purl: str, found: Sequence[Package]) -> dict[str, Any]:
    first = found[0]
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl,
        "name": first.name,
        "version": first.version,
        "purl": purl,
        "evidence": {
            "occurrences": [
                {"location": f"/{path}"}
                for path in sorted({item.found_in for item in found})
            ]
        },
    }
    if licences := _licences(first.licences):
        component["licenses"] = licences
    return component


def _licences(named: Sequence[str]) -> list[dict[str, Any]]:
    """Return licences as the schema wants them: one expression, or any number of names."""
    if len(named) == 1 and is_expression(named[0]) and " " in named[0]:
        return [{"expression": named[0]}]
    return [{"license": {"name": name}} for name in named]


def _files(files: Iterable[File]) -> list[dict[str, Any]]:
    found = []
    for file in files:
        # A path may hold what no reference may.
        ref = hashlib.sha256(file.path.encode(errors="replace")).hexdigest()[:32]
        component: dict[str, Any] = {
            "type": "file",
            "bom-ref": f"file:{ref}",
            "name": f"/{file.path}",
            "properties": _properties([("mcp-host:size", str(file.size_bytes))]),
        }
        if file.sha256:
            component["hashes"] = [{"alg": "SHA-256", "content": file.sha256}]
        found.append(component)
    return found


def _properties(items: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in items if value]
