"""What an entry of a registry offers and asks, and what comes of the answers. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.core.errors import InvalidError
from appliance.sources.errors import ServerJsonUnsupportedError
from appliance.sources.model import Source
from appliance.sources.spec import parse_source

MAX_INPUTS = 128
_MAX_TEXT = 8192
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]*)\}")
_PORT_AND_PATH = re.compile(
    r"https?://[^/:]+(?::(?P<port>\d{1,5}))?(?P<path>/[A-Za-z0-9._~/-]*)?"
)


@dataclass(frozen=True)
class Question:
    """One thing that an entry asks of whoever hosts it."""

    #: Name of a variable, an argument, or a blank in either.
    name: str
    description: str = ""
    is_required: bool = False
    is_secret: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filled:
    """An option with its questions answered."""

    source: Source
    arguments: tuple[str, ...]
    environment: dict[str, str]
    #: Variables of it that the entry calls secret, or that hold what it calls so.
    secrets: frozenset[str]
    #: ``None``: as the image or the sources say.
    transport: str | None
    port: int | None
    path: str | None


@dataclass(frozen=True)
class Option:
    """One way to host an entry."""

    #: ``npm:@scope/name@1.2``, or an address.
    label: str
    #: ``npm``, ``pypi``, ``oci``, ``remote``, or what is not supported.
    kind: str
    #: Empty: it can be hosted here.
    why_not: str = ""
    source: Mapping[str, str] = field(default_factory=dict)
    transport: str | None = None
    address: str = ""
    arguments: Sequence[Mapping[str, Any]] = ()
    variables: Sequence[Mapping[str, Any]] = ()

    def questions(self) -> tuple[Question, ...]:
        """Return what it asks, each name once."""
        found: dict[str, Question] = {}
        for name, spec in self._inputs():
            for question in _questions(name, spec):
                found.setdefault(question.name, question)
        return tuple(found.values())

    def fill(self, inputs: Mapping[str, str]) -> Filled:
        """Return what is hosted with these answers; defaults stand for those that are absent.

        Raises:
            ServerJsonUnsupportedError: It cannot be hosted here.
            InvalidError: A required answer is missing or wrong; names ``inputs.<name>``.
        """
        if self.why_not:
            raise ServerJsonUnsupportedError.field(
                "server_json", f"{self.label}: {self.why_not}"
            )
        self._check(inputs)
        arguments: list[str] = []
        for number, spec in enumerate(self.arguments):
            arguments += _argument(spec, _value(_key(spec, number), spec, inputs))
        environment = {
            str(spec["name"]): value
            for spec in self.variables
            if (value := _value(str(spec["name"]), spec, inputs)) is not None
        }
        port, path = self._port_and_path(inputs)
        secret = {
            name
            for name, spec in self._variables()
            if any(question.is_secret for question in _questions(name, spec))
            or bool(spec.get("isSecret"))
        }
        return Filled(
            source=parse_source(self.source),
            arguments=tuple(arguments),
            environment=environment,
            secrets=frozenset(secret),
            transport=self.transport,
            port=port,
            path=path,
        )

    def _check(self, inputs: Mapping[str, str]) -> None:
        problems: dict[str, str] = {}
        for question in self.questions():
            given = inputs.get(question.name) or question.default
            told = f": {question.description}" if question.description else ""
            if question.is_required and not given:
                problems[f"inputs.{question.name}"] = f"is required{told}"
            elif given and question.choices and given not in question.choices:
                problems[f"inputs.{question.name}"] = (
                    f"must be one of {', '.join(question.choices)}"
                )
        known = {question.name for question in self.questions()}
        for name in inputs.keys() - known:
            problems[f"inputs.{name}"] = "is not asked for"
        if problems:
            raise InvalidError(
                "The registry entry asks for something that is missing or wrong.",
                fields=problems,
            )

    def _variables(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for spec in self.variables:
            yield str(spec["name"]), spec

    def _inputs(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield from self._variables()
        for number, spec in enumerate(self.arguments):
            yield _key(spec, number), spec

    def _port_and_path(
        self, inputs: Mapping[str, str]
    ) -> tuple[int | None, str | None]:
        found = _PORT_AND_PATH.fullmatch(_substituted(self.address, inputs))
        if found is None:
            return None, None
        return int(found["port"]) if found["port"] else None, found["path"]


@dataclass(frozen=True)
class Entry:
    """One server of a registry."""

    name: str
    version: str
    description: str
    options: tuple[Option, ...]

    def option(self, number: int | None = None) -> Option:
        """Return an option by its place, from 0; ``None``: the first that can be hosted here.

        Raises:
            ServerJsonUnsupportedError: There is none, or none that can be hosted.
        """
        if number is not None:
            if not 0 <= number < len(self.options):
                raise ServerJsonUnsupportedError.field(
                    "server_json_option",
                    f"must be between 0 and {len(self.options) - 1}",
                )
            return self.options[number]
        for option in self.options:
            if not option.why_not:
                return option
        why = "; ".join(f"{item.label}: {item.why_not}" for item in self.options)
        raise ServerJsonUnsupportedError.field(
            "server_json",
            f"nothing that it offers can be hosted here ({why or 'it offers nothing'})",
        )


def _questions(name: str, spec: Mapping[str, Any]) -> Iterator[Question]:
    fixed = spec.get("value")
    if isinstance(fixed, str) and fixed:
        blanks = mapping(spec.get("variables"))
        for blank in PLACEHOLDER.findall(fixed):
            known = mapping(blanks.get(blank))
            yield _question(blank, {"isRequired": True, **known})
    else:
        yield _question(name, spec)


def _question(name: str, spec: Mapping[str, Any]) -> Question:
    return Question(
        name=name,
        description=text(spec, "description"),
        is_required=bool(spec.get("isRequired")),
        is_secret=bool(spec.get("isSecret")),
        default=text(spec, "default") or text(spec, "value"),
        choices=tuple(str(item) for item in spec.get("choices") or ())[:MAX_INPUTS],
    )


def _value(name: str, spec: Mapping[str, Any], inputs: Mapping[str, str]) -> str | None:
    """Return what an input comes to; ``None``: it is left out."""
    fixed = spec.get("value")
    if isinstance(fixed, str) and fixed:
        blanks = mapping(spec.get("variables"))
        defaults = {
            blank: text(mapping(known), "default") for blank, known in blanks.items()
        }
        return _substituted(fixed, {**defaults, **inputs})
    given = inputs.get(name, text(spec, "default"))
    return given or None


def _substituted(text: str, inputs: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: inputs.get(match[1], match[0]), text)


def _argument(spec: Mapping[str, Any], value: str | None) -> list[str]:
    name = text(spec, "name")
    if text(spec, "type") != "named" or not name:
        return [] if value is None else [value]
    is_flag = text(spec, "format") == "boolean" or not (
        "value" in spec
        or "default" in spec
        or "valueHint" in spec
        or "isRequired" in spec
    )
    if value is None:
        return []
    if is_flag and value.lower() in {"true", "false"}:
        return [name] if value.lower() == "true" else []
    return [name, value]


def _key(spec: Mapping[str, Any], number: int) -> str:
    named = text(spec, "name") if text(spec, "type") == "named" else ""
    return named or text(spec, "valueHint") or f"argument {number + 1}"


def mapping(value: object) -> Mapping[str, Any]:
    """Return ``value`` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(data: Mapping[str, Any], name: str) -> str:
    """Return a member as text; what is absent or no scalar is empty."""
    value = data.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:_MAX_TEXT] if isinstance(value, str | int | float) else ""
