"""``server.json``, as the official MCP registry has it, read as sources that can be hosted here. Pure.

An entry offers packages and remotes; each is an ``Option``: a source, what it asks of whoever hosts it, and how the
answers become arguments and environment. Schema 2025-12-11, and the spelling with underscores of before.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.core.errors import InvalidError
from appliance.sources.entry import (
    MAX_INPUTS,
    PLACEHOLDER,
    Entry,
    Option,
    mapping,
    text,
)
from appliance.sources.spec import parse_source

MAX_OPTIONS = 32
#: The public registries, as entries name them; those of others are not asked.
_OWN_REGISTRY = re.compile(
    r"https://(?:registry\.|www\.)?(?:npmjs|pypi)\.org/?(?:simple/?)?", re.IGNORECASE
)
#: Flags of docker run that this host sees to itself.
_OWN_FLAGS = frozenset({"-i", "-t", "-it", "--rm", "--init", "--interactive", "-p"})
_ENVIRONMENT_FLAGS = frozenset({"-e", "--env"})
_TRANSPORTS = frozenset({"stdio", "streamable-http", "sse"})


def read_entry(data: object) -> Entry:
    """Return what a registry, or a file, says of a server.

    Raises:
        InvalidError: It is no such document; names ``server_json``.
    """
    whole = mapping(data)
    # A registry wraps the document and adds what it knows itself.
    found = _camel(mapping(whole.get("server")) or whole)
    if not isinstance(found.get("name"), str):
        raise InvalidError.field(
            "server_json",
            "is not a server.json: give a JSON object with name, and packages or remotes",
        )
    options = [
        *(_package(item) for item in _list(found.get("packages"))),
        *(_remote(item) for item in _list(found.get("remotes"))),
    ]
    return Entry(
        text(found, "name"),
        text(found, "version"),
        text(found, "description"),
        tuple(options[:MAX_OPTIONS]),
    )


def _package(data: Mapping[str, Any]) -> Option:
    kind = text(data, "registryType").lower()
    identifier, version = text(data, "identifier"), text(data, "version")
    label = f"{kind}:{identifier}" + (f" {version}" if version else "")
    transport = mapping(data.get("transport"))
    variables = [*_list(data.get("environmentVariables"))]
    why_not, source = "", {}
    match kind:
        case "npm":
            source = {
                "package": f"npm:{identifier}" + (f"@{version}" if version else "")
            }
        case "pypi":
            source = {
                "package": f"pypi:{identifier}" + (f"=={version}" if version else "")
            }
        case "oci":
            source = {"image": _image(data, identifier, version)}
            carried, why_not = _docker_flags(_list(data.get("runtimeArguments")))
            variables += carried
        case _:
            why_not = f"packages of the kind {kind or 'unknown'!r} are not supported"
    address = text(data, "registryBaseUrl")
    if kind in {"npm", "pypi"} and address and not _OWN_REGISTRY.fullmatch(address):
        why_not = f"packages of another registry ({address}) are not supported"
    spoken = text(transport, "type") or None
    if spoken and spoken not in _TRANSPORTS:
        why_not = why_not or f"the transport {spoken!r} is not known"
    return _checked(
        Option(
            label=label,
            kind=kind or "unknown",
            why_not=why_not,
            source=source,
            transport=spoken,
            address=text(transport, "url"),
            arguments=_list(data.get("packageArguments"))[:MAX_INPUTS],
            variables=[item for item in variables if text(item, "name")][:MAX_INPUTS],
        )
    )


def _image(data: Mapping[str, Any], identifier: str, version: str) -> str:
    host = re.sub(r"^https?://", "", text(data, "registryBaseUrl")).rstrip("/")
    has_host = "." in identifier.split("/", maxsplit=1)[0] and "/" in identifier
    reference = f"{host}/{identifier}" if host and not has_host else identifier
    has_tag = "@" in reference or ":" in reference.rsplit("/", 1)[-1]
    return reference if has_tag or not version else f"{reference}:{version}"


def _docker_flags(
    flags: Sequence[Mapping[str, Any]],
) -> tuple[list[Mapping[str, Any]], str]:
    """Return the variables that flags of docker run set, and why the rest cannot be had."""
    found: list[Mapping[str, Any]] = []
    for spec in flags:
        flag = text(spec, "name")
        name, equals, value = text(spec, "value").partition("=")
        if flag in _ENVIRONMENT_FLAGS and equals:
            found.append({**spec, "name": name, "value": value, "type": "variable"})
        elif flag and flag not in _OWN_FLAGS and spec.get("isRequired"):
            return [], f"it needs {flag} of docker run, which is not supported"
    return found, ""


def _remote(data: Mapping[str, Any]) -> Option:
    url, kind = text(data, "url"), text(data, "type")
    needed = [
        text(item, "name")
        for item in _list(data.get("headers"))
        if item.get("isRequired")
    ]
    why_not = ""
    if needed:
        why_not = (
            f"it wants the header {needed[0]} with every call, which is not supported"
        )
    elif PLACEHOLDER.search(url):
        why_not = "its address has blanks; fill them in and give it as a remote URL"
    elif kind not in _TRANSPORTS - {"stdio"}:
        why_not = f"the transport {kind!r} is not known"
    return _checked(Option(url, "remote", why_not, {"remote_url": url}, kind or None))


def _checked(option: Option) -> Option:
    """Say of a source that cannot be read why it cannot be hosted."""
    if option.why_not:
        return option
    try:
        parse_source(option.source)
    except InvalidError as error:
        return Option(option.label, option.kind, error.detail)
    return option


def _camel(value: Any) -> Any:
    """Return a document with its keys as the newer schemas spell them, down to a sane depth."""
    return _respelt(value, 8)


def _respelt(value: Any, depth: int) -> Any:
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {
            _key_of(str(key)): _respelt(item, depth - 1) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_respelt(item, depth - 1) for item in value]
    return value


_OLD_KEYS = re.compile(
    r"registry_type|registry_base_url|environment_variables|package_arguments|runtime_arguments|runtime_hint"
    r"|is_required|is_secret|is_repeated|value_hint"
)


def _key_of(key: str) -> str:
    if not _OLD_KEYS.fullmatch(key):
        return key
    first, *rest = key.split("_")
    return first + "".join(word.title() for word in rest)


def _list(value: object) -> list[Mapping[str, Any]]:
    return (
        [item for item in value if isinstance(item, dict)]
        if isinstance(value, list)
        else []
    )
