"""From the text that a person typed into a server's form to what the service takes, and back. Pure."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from pydantic import SecretStr

from appliance.artifacts.wellknown import WellKnown
from appliance.core.errors import InvalidError
from appliance.runtimes.model import Transport
from appliance.secrets.naming import check_name as check_secret_name
from appliance.secrets.naming import check_value as check_secret_value
from appliance.servers.call_limits import BOUNDS
from appliance.servers.config import check_config, check_name, parse_memory
from appliance.servers.entries import hosted
from appliance.servers.model import CallLimits, NewServer, ServerConfig, SessionMode
from appliance.servers.pinning.policy import PinningMode
from appliance.sources.credentials import Credential, checked_credential
from appliance.sources.entry import Entry
from appliance.sources.model import RemoteSource, Source
from appliance.sources.spec import FLAGS, parse_source
from appliance.web import egress_form

#: Controls of each kind of source, the deciding one first.
SOURCE_FIELDS = {
    "package": ("package", "as_of"),
    "git": ("repo_url", "branch", "subdirectory", "submodules", "lfs"),
    "archive": ("archive", "archive_name", "archive_subdirectory"),
    "image": ("image",),
    "remote": ("remote_url",),
    "entry": ("server_json",),
}
#: Ways into a private repository; never shown again.
CREDENTIALS = ("git_token", "git_user", "deploy_key")
#: Never shown again, either.
SECRETS = "secrets"
#: Stands before the name of what a registry's entry asks for.
INPUT = "input."
FETCHED = (("", "Left alone"), ("yes", "Fetched"))
TRANSPORTS = (
    ("auto", "Automatic"),
    ("stdio", "stdio"),
    ("streamable-http", "Streamable HTTP"),
    ("sse", "HTTP+SSE (2024-11-05)"),
)
SESSION_MODES = (
    ("auto", "Automatic"),
    ("shared", "Shared by all clients"),
    ("per-session", "One for each session"),
)
TRACE_BODIES = (("yes", "What was asked and answered"), ("no", "Neither"))
LISTED = (("no", "Only with a key"), ("yes", "To everybody"))
PINNING = (
    (PinningMode.WARN.value, "Served, and people are told"),
    (PinningMode.QUARANTINE.value, "Held back until approved"),
    (PinningMode.SERVE.value, "Served"),
)
_DEFAULT = ServerConfig()
T = TypeVar("T")
_LINE_END = re.compile(r"\r\n|\r|\n")
#: Stands for an allow-list that allows nothing; an empty control allows everything.
NO_TOOL = "(none)"
MAX_TYPE = 64


def empty_form() -> dict[str, str]:
    """Return what a new server's form shows at first."""
    return {"kind": "package", "name": "", "server_type": "", **config_values(_DEFAULT)}


def known_form(known: WellKnown) -> dict[str, str]:
    """Return what the form shows for a published server: with a line for each setting that it needs, or that has an example."""
    settings = [
        f"{item.name}={item.example}"
        for item in known.settings
        if item.is_required or item.example
    ]
    return empty_form() | {
        "kind": "package" if known.package else "image",
        "package": known.package,
        "image": known.image,
        "arguments": "\n".join(_quoted(item) for item in known.arguments),
        "environment": "\n".join(settings),
        "session_mode": known.session_mode,
        "egress_mode": known.egress if known.egress == "open" else "",
    }


def config_values(config: ServerConfig) -> dict[str, str]:
    """Return ``config`` as its form shows it."""
    return {
        "arguments": "\n".join(_quoted(item) for item in config.arguments),
        "environment": "\n".join(
            f"{name}={_quoted(value, may_be_blank=True)}"
            for name, value in config.environment.items()
        ),
        "cpu_limit": f"{config.cpu_limit:.10g}",
        "memory_limit": memory_text(config.memory_limit_bytes),
        "transport": config.transport.value if config.transport else "auto",
        "port": str(config.port or ""),
        "path": config.path,
        "entry": config.entry,
        "tools": NO_TOOL if config.tools == () else "\n".join(config.tools or ()),
        "session_mode": config.session_mode.value,
        "listed": "yes" if config.listed else "no",
        "trace_bodies": "yes" if config.trace_bodies else "no",
        "pinning": config.pinning.value,
        **{name: _limit_text(config.limits, name) for name in BOUNDS},
    }


def _limit_text(limits: CallLimits, name: str) -> str:
    value = getattr(limits, name)
    return "" if value is None else f"{value:.10g}"


def memory_text(count: int) -> str:
    """Return bytes as ``parse_memory`` reads them, in the largest unit that leaves nothing over."""
    for letter, size in (("g", 1024**3), ("m", 1024**2), ("k", 1024)):
        if count % size == 0:
            return f"{count // size}{letter}"
    return str(count)


def new_server(form: Mapping[str, str], entry: Entry | None = None) -> NewServer:
    """Return the server that a filled form asks for.

    Args:
        form: What was typed.
        entry: The registry's entry that the form gives or names, if it does.

    Raises:
        InvalidError: Names every control whose value is wrong.
    """
    problems: dict[str, str] = {}
    config = _collect(problems, lambda: read_config(form))
    secrets = _secrets(form, problems)
    source: Source | None
    made = None
    if entry is None:
        source = _collect(problems, lambda: parse_source(_source_data(form)))
    else:
        made = _collect(
            problems,
            lambda: hosted(entry.option(), _inputs(form), config or _DEFAULT),
        )
        source = made.source if made and config else None
        config = made.config if made else config
    is_remote = isinstance(source, RemoteSource)
    egress = None if is_remote else _collect(problems, lambda: egress_form.read(form))
    credential = _collect(problems, lambda: _credential(form, source))
    name = form.get("name", "").strip()
    if name:
        _collect(problems, lambda: check_name(name))
    server_type = form.get("server_type", "").strip()
    if len(server_type) > MAX_TYPE:
        problems["server_type"] = f"use at most {MAX_TYPE} characters"
    if problems or source is None or config is None:
        raise InvalidError(
            "The server was not created: some fields need mending.", fields=problems
        )
    return NewServer(
        source=source,
        name=name or None,
        server_type=server_type or None,
        config=replace(config, egress=egress),
        credential=credential,
        secrets={**(made.secrets if made else {}), **secrets},
        org=form.get("org", "") or None,
    )


def _secrets(form: Mapping[str, str], problems: dict[str, str]) -> dict[str, SecretStr]:
    """Return the lines of the control for secrets; they are not told again in what is wrong with them."""
    found = _pairs(form, SECRETS, problems)
    for name, value in found.items():
        try:
            check_secret_name(name)
            check_secret_value(value)
        except InvalidError as error:
            problems[SECRETS] = f"{name}: {'; '.join(error.fields.values())}"
    return {name: SecretStr(value) for name, value in found.items()}


def _credential(form: Mapping[str, str], source: Source | None) -> Credential | None:
    given = {name: form.get(name, "").strip() for name in CREDENTIALS}
    if source is None or form.get("kind") != "git" or not any(given.values()):
        return None
    token, user, key = given.values()
    return checked_credential(
        source,
        token=SecretStr(token) if token else None,
        user=user or None,
        deploy_key=SecretStr(key) if key else None,
    )


def _inputs(form: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(INPUT): value
        for name, value in form.items()
        if name.startswith(INPUT) and value
    }


def read_config(form: Mapping[str, str]) -> ServerConfig:
    """Return the configuration that a filled form means.

    Raises:
        InvalidError: Names every control whose value is wrong.
    """
    problems: dict[str, str] = {}
    arguments = _arguments(form, problems)
    environment = _pairs(form, "environment", problems)
    memory = _collect(
        problems,
        lambda: parse_memory(form.get("memory_limit") or _DEFAULT.memory_limit_bytes),
    )
    cpus = _number(form.get("cpu_limit", ""), "cpu_limit", _DEFAULT.cpu_limit, problems)
    port = _number(form.get("port", ""), "port", None, problems)
    limits = _limits(form, problems)
    transport = form.get("transport") or "auto"
    if transport not in dict(TRANSPORTS):
        problems["transport"] = "choose one of the list"
    session_mode = form.get("session_mode") or _DEFAULT.session_mode.value
    if session_mode not in dict(SESSION_MODES):
        problems["session_mode"] = "choose one of the list"
    pinning = form.get("pinning") or _DEFAULT.pinning.value
    if pinning not in dict(PINNING):
        problems["pinning"] = "choose one of the list"
    if problems or memory is None:
        raise InvalidError("The configuration is not valid.", fields=problems)
    config = ServerConfig(
        arguments=arguments,
        environment=environment,
        cpu_limit=cpus if cpus is not None else _DEFAULT.cpu_limit,
        memory_limit_bytes=memory,
        transport=None if transport == "auto" else Transport(transport),
        port=None if port is None else int(port),
        path=form.get("path", "").strip() or _DEFAULT.path,
        tools=_tools(form),
        session_mode=SessionMode(session_mode),
        listed=form.get("listed") == "yes",
        trace_bodies=form.get("trace_bodies") != "no",
        pinning=PinningMode(pinning),
        limits=limits,
        entry=form.get("entry", "").strip(),
    )
    return _checked(config)


def _lines(form: Mapping[str, str], name: str) -> list[tuple[int, str]]:
    """Return the lines of a control that say something, with their numbers; browsers end them with CR LF."""
    lines = _LINE_END.split(form.get(name, ""))
    return [
        (number, line) for number, line in enumerate(lines, start=1) if line.strip()
    ]


def _quoted(text: str, *, may_be_blank: bool = False) -> str:
    """Return ``text`` as one line: as it is, or as JSON where a line could not carry it."""
    is_plain = not text.startswith('"') and not _LINE_END.search(text)
    return text if is_plain and (may_be_blank or text.strip()) else json.dumps(text)


def _unquoted(line: str) -> str:
    """Return what a line that ``_quoted`` made stands for.

    Raises:
        ValueError: It starts with a quotation mark and is not JSON text.
    """
    if not line.startswith('"'):
        return line
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, str) or "\0" in found:
        raise ValueError("a line in quotation marks must be JSON text")
    return found


def _arguments(form: Mapping[str, str], problems: dict[str, str]) -> tuple[str, ...]:
    found: list[str] = []
    for number, line in _lines(form, "arguments"):
        try:
            found.append(_unquoted(line))
        except ValueError as error:
            problems["arguments"] = f"line {number}: {error}"
    return tuple(found)


def _tools(form: Mapping[str, str]) -> tuple[str, ...] | None:
    names = tuple(line.strip() for _, line in _lines(form, "tools"))
    return () if names == (NO_TOOL,) else names or None


def _limits(form: Mapping[str, str], problems: dict[str, str]) -> CallLimits:
    rate = _number(form.get("calls_per_second", ""), "calls_per_second", None, problems)
    timeout_s = _number(form.get("timeout_s", ""), "timeout_s", None, problems)
    return CallLimits(
        calls_per_second=rate,
        concurrency=_whole(form, "concurrency", problems),
        body_bytes=_whole(form, "body_bytes", problems),
        timeout_s=timeout_s,
    )


def _whole(form: Mapping[str, str], name: str, problems: dict[str, str]) -> int | None:
    text = form.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        problems[name] = BOUNDS[name].help
        return None
    return int(text)


def _checked(config: ServerConfig) -> ServerConfig:
    """Check bounds; what is wrong with one variable is told at the control that holds them all."""
    try:
        return check_config(config)
    except InvalidError as error:
        fields: dict[str, str] = {}
        for name, problem in error.fields.items():
            control, _, variable = name.partition(".")
            if control == "limits":  # each has a control of its own
                fields[variable] = problem
            else:
                fields[control] = f"{variable}: {problem}" if variable else problem
        raise InvalidError(error.detail, fields=fields) from None


def _collect(problems: dict[str, str], read: Callable[[], T]) -> T | None:
    try:
        return read()
    except InvalidError as error:
        problems.update({_control(name): text for name, text in error.fields.items()})
        return None


def _control(field: str) -> str:
    """Return the control that a field of the service stands for."""
    head, dot, name = field.partition(".")
    if head == "inputs" and dot:
        return INPUT + name
    return field.removeprefix("source.")


def _source_data(form: Mapping[str, str]) -> dict[str, str | bool]:
    kind = form.get("kind", "")
    names = SOURCE_FIELDS.get(kind)
    if names is None:
        raise InvalidError.field("kind", "choose where the server comes from")
    if not form.get(names[0], "").strip():
        raise InvalidError.field(names[0], "say where the server comes from")
    found = {name: value for name in names if (value := form.get(name, "").strip())}
    return {
        name.removeprefix("archive_") if name == "archive_subdirectory" else name: (
            value == "yes" if name in FLAGS else value
        )
        for name, value in found.items()
    }


def _pairs(
    form: Mapping[str, str], control: str, problems: dict[str, str]
) -> dict[str, str]:
    """Return the lines of a control that has a name and a value in each."""
    found: dict[str, str] = {}
    for number, line in _lines(form, control):
        name, mark, value = line.partition("=")
        if not mark:
            problems[control] = f"line {number}: write NAME=value"
            continue
        try:
            found[name.strip()] = _unquoted(value)
        except ValueError as error:
            problems[control] = f"line {number}: {error}"
    return found


def _number(
    text: str, name: str, default: float | None, problems: dict[str, str]
) -> float | None:
    if not text.strip():
        return default
    try:
        found = int(text) if name == "port" else float(text)
    except ValueError:
        problems[name] = (
            "give a whole number, such as 8000"
            if name == "port"
            else "give a number, such as 0.5"
        )
        return default
    return found
