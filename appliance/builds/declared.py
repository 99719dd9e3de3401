"""How a server speaks by what its repository declares: Dockerfile, ``smithery.yaml``, ``server.json``. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from appliance.builds.dockerfile_text import words
from appliance.builds.own_dockerfile import Stage

STDIO, HTTP, SSE = "stdio", "streamable-http", "sse"
#: Words for transports, as programs and files spell them.
_WORDS = {
    "stdio": STDIO,
    "http": HTTP,
    "streamable-http": HTTP,
    "streamable_http": HTTP,
    "streamablehttp": HTTP,
    "shttp": HTTP,
    "sse": SSE,
}
_TRANSPORT_OPTION = re.compile(r"--?(?:transport|mode|t)(?:=(.*))?", re.IGNORECASE)
_PORT_OPTION = re.compile(r"--?(?:port|p)(?:=(.*))?", re.IGNORECASE)
_TYPE = re.compile(
    r"(\s+)type\s*:\s*[\"']?([a-z_-]{1,32})[\"']?\s*(?:#.*)?", re.IGNORECASE
)
_URL_PORT = re.compile(r"https?://[^/:\s]{0,255}:([0-9]{1,5})(?:/|$)", re.IGNORECASE)
_MAX_TEXT = 64 * 1024
_MAX_PORT = 65535

Speech = dict[str, Any]


def of_repository(
    texts: Mapping[str, str], image: Stage | None, *, exposed: int | None
) -> Speech:
    """Return ``transport``, ``port`` and ``transport_from`` as far as they are declared; empty: nothing is.

    The command that is really started knows best, then what was written for hosts.

    Args:
        texts: Of the repository's files by name.
        image: What the Dockerfile makes, if there is one.
        exposed: The port that the image exposes.
    """
    ways = (
        ("Dockerfile", of_command(image) if image else {}),
        ("server.json", of_server_json(texts.get("server.json", ""))),
        ("smithery.yaml", of_smithery(texts.get("smithery.yaml", ""))),
    )
    for name, found in ways:
        if "transport" in found:
            told = {**found, "transport_from": name}
            if found["transport"] != STDIO and exposed:
                told.setdefault("port", exposed)
            return told
    return {}


def of_command(image: Stage) -> Speech:
    """Return what the arguments of ``ENTRYPOINT`` and ``CMD`` say."""
    arguments: list[str] = []
    for part in (image.entrypoint, image.command):
        if part is not None:
            arguments += words(part.words[0]) if part.is_shell else part.words
    transport = next(
        (
            _WORDS[value]
            for value in _values(_TRANSPORT_OPTION, arguments)
            if value in _WORDS
        ),
        None,
    )
    port = next(filter(None, map(_port, _values(_PORT_OPTION, arguments))), None)
    if transport is None:
        alone = {
            _WORDS[item.lstrip("-")] for item in arguments if item.lstrip("-") in _WORDS
        }
        transport = alone.pop() if len(alone) == 1 else None
    if transport is None:
        return {}
    return {"transport": transport} | (
        {"port": port} if port and transport != STDIO else {}
    )


def _values(option: re.Pattern[str], arguments: list[str]) -> Iterator[str]:
    for place, argument in enumerate(arguments):
        if match := option.fullmatch(argument):
            following = arguments[place + 1] if place + 1 < len(arguments) else ""
            yield (match[1] or following).lower()


def of_server_json(text: str) -> Speech:
    """Return what the package says that the official registry would offer: the image if there is one."""
    try:
        data = json.loads(text[:_MAX_TEXT]) if text else {}
    except (ValueError, RecursionError):
        return {}
    listed = data.get("packages") if isinstance(data, dict) else None
    packages = [item for item in listed or () if isinstance(item, dict)] if isinstance(listed, list) else []  # fmt: skip
    images = [item for item in packages if item.get("registryType") == "oci"]
    told = [_transport_of(item) for item in images or packages]
    # Several that differ say nothing of what this repository builds.
    return told[0] if told and all(item == told[0] for item in told) else {}


def _transport_of(package: Mapping[str, Any]) -> Speech:
    declared = package.get("transport")
    if not isinstance(declared, dict):
        return {}
    kind = _WORDS.get(str(declared.get("type", "")).lower())
    if kind is None:
        return {}
    match = _URL_PORT.match(str(declared.get("url", ""))) if kind != STDIO else None
    port = _port(match[1]) if match else None
    return {"transport": kind} | ({"port": port} if port else {})


def of_smithery(text: str) -> Speech:
    """Return what ``startCommand.type`` says; the file is read as far as that, and no further."""
    lines = iter(text[:_MAX_TEXT].splitlines())
    for line in lines:
        if line.split("#")[0].rstrip() == "startCommand:":
            break
    indent = ""
    for line in lines:
        if line.strip() and not line[0].isspace():
            break
        found = _TYPE.fullmatch(line)
        if found and (not indent or found[1] == indent):
            kind = _WORDS.get(found[2].lower())
            return {"transport": kind} if kind else {}
        if line.strip() and not line.lstrip().startswith("#"):
            indent = indent or line[: len(line) - len(line.lstrip())]
    return {}


def _port(text: str) -> int | None:
    is_port = text.isascii() and text.isdigit() and len(text) <= 5  # noqa: PLR2004 - digits of a port
    return int(text) if is_port and 0 < int(text) <= _MAX_PORT else None
