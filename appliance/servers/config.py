"""The configuration of a server: from what a caller sends to a checked value, and back to JSON. Pure."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from appliance.builds import taken_over
from appliance.core import egress
from appliance.core.errors import InvalidError
from appliance.core.names import MAX_NAME, check_label
from appliance.runtimes import isolation
from appliance.runtimes.model import Transport
from appliance.servers import call_limits
from appliance.servers.deploys import policy as deploys
from appliance.servers.health import policy as health
from appliance.servers.model import ServerConfig, SessionMode
from appliance.servers.pinning.policy import PinningMode
from appliance.sources.model import (
    ArchiveSource,
    GitSource,
    ImageSource,
    PackageSource,
    RemoteSource,
    Source,
)

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?", re.IGNORECASE)
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,255}")
_ARCHIVE_END = re.compile(r"(?:-v?\d[\w.+]*?)?(?:\.tar\.gz|\.tgz|\.tar|\.zip)?$")
_ENTRY = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?")
_TOOL = re.compile(r"[\x21-\x7e]{1,128}")
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}

MIN_MEMORY_BYTES = 16 * 1024**2
MAX_VALUE_BYTES = 32 * 1024
MAX_ARGUMENTS = 128
MAX_CPUS = 64
MAX_TOOLS = 1000
MAX_PORT = 65535
MEMORY_HELP = "give a size of at least 16m, such as 512m or 1g"


def check_name(name: str) -> str:
    """Return ``name`` if it may be a server's.

    Raises:
        InvalidError: It is not a lower-case DNS label.
    """
    return check_label(name, example="my-server")


def name_from_source(source: Source) -> str:
    """Return the name that a server gets when nobody gave one."""
    slug = re.sub(r"[^a-z0-9]+", "-", _raw_name(source).lower())
    return slug.strip("-")[:MAX_NAME].strip("-") or "server"


def _raw_name(source: Source) -> str:
    match source:
        case PackageSource():
            return source.name
        case GitSource():
            return source.url.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git")
        case ArchiveSource():
            return _ARCHIVE_END.sub("", source.filename)
        case ImageSource():
            path = source.reference.partition("@")[0]
            return path.rsplit("/", 1)[-1].partition(":")[0]
        case RemoteSource():
            return source.url.split("//", 1)[-1].split("/", 1)[0].partition(":")[0]


def parse_memory(value: str | int) -> int:
    """Return bytes for ``536870912``, ``"512m"`` or ``"1GiB"``.

    Raises:
        InvalidError: It is not a size, or less than 16 MiB.
    """
    match = _MEMORY.fullmatch(str(value).strip())
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if size < MIN_MEMORY_BYTES:
        raise InvalidError.field("memory_limit", MEMORY_HELP)
    return size


def check_config(config: ServerConfig) -> ServerConfig:
    """Return ``config`` if every value is within bounds.

    Raises:
        InvalidError: Names every field that is not.
    """
    problems = _argument_problems(config) | _environment_problems(config)
    problems |= call_limits.problems(config.limits) | _build_problems(config)
    problems |= health.problems(config.health) | deploys.problems(config.deploys)
    problems |= isolation.problems(config.isolation)
    if config.egress:
        problems |= egress.problems(config.egress)
    if not 0 < config.cpu_limit <= MAX_CPUS:
        problems["cpu_limit"] = (
            f"give a number of CPUs above 0 and at most {MAX_CPUS}, such as 0.5"
        )
    if config.memory_limit_bytes < MIN_MEMORY_BYTES:
        problems["memory_limit"] = MEMORY_HELP
    if config.port is not None and not 1 <= config.port <= MAX_PORT:
        problems["port"] = f"give a port between 1 and {MAX_PORT}"
    if not _PATH.fullmatch(config.path):
        problems["path"] = "give an absolute path such as /mcp"
    if config.tools is not None and not _are_tool_names(config.tools):
        problems["tools"] = f"give at most {MAX_TOOLS} names of 1 to 128 characters"
    if problems:
        raise InvalidError("The configuration is not valid.", fields=problems)
    return config


def _are_tool_names(names: tuple[str, ...]) -> bool:
    return len(names) <= MAX_TOOLS and all(_TOOL.fullmatch(name) for name in names)


def _build_problems(config: ServerConfig) -> dict[str, str]:
    problems = {}
    if not _ENTRY.fullmatch(config.entry):
        problems["entry"] = "give the name of a program, such as my-server"
    if config.dockerfile:
        try:
            taken_over.check(config.dockerfile)
        except InvalidError as error:
            problems |= error.fields
    return problems


def _argument_problems(config: ServerConfig) -> dict[str, str]:
    arguments = config.arguments
    if len(arguments) <= MAX_ARGUMENTS and not any("\0" in item for item in arguments):
        return {}
    return {
        "arguments": f"give at most {MAX_ARGUMENTS} arguments without NUL characters"
    }


def _environment_problems(config: ServerConfig) -> dict[str, str]:
    problems = {}
    for name, value in config.environment.items():
        if not _VARIABLE.fullmatch(name):
            problems[f"environment.{name}"] = (
                "a name has letters, digits and _, and does not start with a digit"
            )
        elif "\0" in value or len(value.encode()) > MAX_VALUE_BYTES:
            problems[f"environment.{name}"] = (
                "a value has at most 32 KiB and no NUL character"
            )
    return problems


def changes_what_runs(before: ServerConfig, after: ServerConfig) -> bool:
    """Return whether an instance with ``after`` differs from one with ``before``; the rest the gateway reads as it changes."""
    as_it_runs = replace(
        after,
        tools=before.tools,
        listed=before.listed,
        trace_bodies=before.trace_bodies,
        limits=before.limits,
        health=before.health,
        deploys=before.deploys,
        pinning=before.pinning,
        egress=before.egress,
    )
    return as_it_runs != before


def config_as_dict(config: ServerConfig) -> dict[str, Any]:
    """Return ``config`` as it is stored and answered."""
    return {
        "arguments": list(config.arguments),
        "environment": dict(config.environment),
        "cpu_limit": config.cpu_limit,
        "memory_limit": config.memory_limit_bytes,
        "transport": config.transport.value if config.transport else "auto",
        "port": config.port,
        "path": config.path,
        "tools": None if config.tools is None else list(config.tools),
        "session_mode": config.session_mode.value,
        "listed": config.listed,
        "trace_bodies": config.trace_bodies,
        "limits": call_limits.as_dict(config.limits),
        "entry": config.entry,
        "dockerfile": config.dockerfile,
        "health": health.as_dict(config.health),
        "deploys": deploys.as_dict(config.deploys),
        "pinning": config.pinning.value,
        "isolation": isolation.as_dict(config.isolation),
        "egress": egress.as_dict(config.egress) if config.egress else None,
    }


def config_from_dict(data: Mapping[str, Any]) -> ServerConfig:
    """Return the configuration that ``config_as_dict`` stored; absent keys take their defaults."""
    default = ServerConfig()
    transport = data.get("transport", "auto")
    return ServerConfig(
        arguments=tuple(data.get("arguments", ())),
        environment=dict(data.get("environment", {})),
        cpu_limit=float(data.get("cpu_limit", default.cpu_limit)),
        memory_limit_bytes=parse_memory(
            data.get("memory_limit", default.memory_limit_bytes)
        ),
        transport=None if transport == "auto" else Transport(transport),
        port=data.get("port"),
        path=data.get("path") or default.path,
        tools=None if data.get("tools") is None else tuple(data["tools"]),
        session_mode=SessionMode(data.get("session_mode", default.session_mode)),
        listed=bool(data.get("listed", default.listed)),
        trace_bodies=bool(data.get("trace_bodies", default.trace_bodies)),
        limits=call_limits.from_dict(data.get("limits") or {}),
        entry=data.get("entry") or "",
        dockerfile=data.get("dockerfile") or "",
        health=health.from_dict(data.get("health") or {}),
        deploys=deploys.from_dict(data.get("deploys") or {}),
        pinning=PinningMode(data.get("pinning", default.pinning)),
        isolation=isolation.from_dict(data.get("isolation") or {}),
        egress=egress.from_dict(data["egress"]) if data.get("egress") else None,
    )
