"""What a repository's own Dockerfile says of the image it makes: ports, command, user, labels. Pure.

It reads as Docker does, as far as that decides something here: continued lines, heredocs, stages, ``ARG`` and ``ENV`` in
plain words. It refuses nothing: what is wrong, the build says better.
"""

import json
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace

from appliance.builds.dockerfile_text import (
    Instruction,
    assignments,
    expanded,
    instructions,
    words,
)

#: Stages, and what one image remembers.
MAX_STAGES = 100
MAX_KEPT = 100
_PORT = re.compile(r"([0-9]{1,5})(?:-[0-9]{1,5})?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_MAX_PORT = 65535


@dataclass(frozen=True)
class Command:
    """What ``ENTRYPOINT`` or ``CMD`` says."""

    #: A single word in the shell form.
    words: tuple[str, ...]
    is_shell: bool
    line: int


@dataclass(frozen=True)
class Stage:
    """One stage with all that it inherits of earlier ones."""

    #: Where the chain of stages begins: an image, or ``scratch``.
    base: str = ""
    name: str = ""
    #: Whether it goes on from an earlier stage rather than from an image.
    has_parent: bool = False
    #: TCP ports in the order of their mention.
    ports: tuple[int, ...] = ()
    entrypoint: Command | None = None
    command: Command | None = None
    #: Empty: as the base says.
    user: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    has_healthcheck: bool = False
    line: int = 0


@dataclass(frozen=True)
class Dockerfile:
    """What a Dockerfile says."""

    instructions: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    @property
    def final(self) -> Stage | None:
        """What the image is made of, unless there is no ``FROM``."""
        return self.stages[-1] if self.stages else None


def parse(text: str) -> Dockerfile:
    """Return what a Dockerfile says, whatever it is."""
    found = tuple(instructions(text))
    stages: list[Stage] = []
    names: dict[str, Stage] = {}
    given: dict[str, str] = {}  # ARGs before the first FROM
    declared: dict[str, str] = {}  # ARGs of the stage
    for item in found:
        if item.name == "FROM":
            if len(stages) >= MAX_STAGES:
                break
            stages.append(_stage(item, names, given))
            declared = {}
            names[stages[-1].name.lower()] = stages[-1]
        elif not stages:
            _declare(item, given, given)
        else:
            _declare(item, declared, given)
            stages[-1] = _with(stages[-1], item, declared)
            names[stages[-1].name.lower()] = stages[-1]
    return Dockerfile(found, tuple(stages))


def _stage(
    item: Instruction, names: Mapping[str, Stage], given: Mapping[str, str]
) -> Stage:
    image, _, rest = expanded(item.text, given).strip().partition(" ")
    alias = rest.split()
    is_named = len(alias) > 1 and alias[0].lower() == "as"
    name = alias[1] if is_named else ""
    inherited = names.get(image.lower()) if image else None
    begun = inherited or Stage(base=image)
    return replace(begun, name=name, line=item.line, has_parent=inherited is not None)


def _declare(
    item: Instruction, declared: MutableMapping[str, str], given: Mapping[str, str]
) -> None:
    if item.name != "ARG":
        return
    for word in words(item.text):
        name, equals, value = word.partition("=")
        if len(declared) < MAX_KEPT or name in declared:
            meant = expanded(value, declared) if equals else given.get(name, "")
            declared[name] = meant


def _with(stage: Stage, item: Instruction, declared: Mapping[str, str]) -> Stage:
    variables = {**declared, **stage.environment}
    match item.name:
        case "EXPOSE":
            found = (*stage.ports, *_ports(expanded(item.text, variables)))
            return replace(stage, ports=tuple(dict.fromkeys(found))[:MAX_KEPT])
        case "ENTRYPOINT":
            # A command of the base belongs to the base's entry point.
            is_own = stage.command is not None and stage.command.line > stage.line
            command = stage.command if is_own else None
            return replace(stage, entrypoint=_command(item), command=command)
        case "CMD":
            return replace(stage, command=_command(item))
        case "USER":
            return replace(stage, user=expanded(item.text, variables).strip())
        case "LABEL":
            return replace(stage, labels=_pairs(item.text, stage.labels, variables))
        case "ENV":
            return replace(
                stage, environment=_pairs(item.text, stage.environment, variables)
            )
        case "HEALTHCHECK":
            return replace(stage, has_healthcheck=item.text.strip().upper() != "NONE")
        case _:
            return stage


def _ports(text: str) -> Iterator[int]:
    for word in text.split()[:MAX_KEPT]:
        found = _PORT.fullmatch(word.strip("\"'"))
        is_tcp = found is not None and (found[2] or "tcp").lower() == "tcp"
        if found and is_tcp and 0 < int(found[1]) <= _MAX_PORT:
            yield int(found[1])


def _command(item: Instruction) -> Command | None:
    """Return the command; ``None`` where it takes the one before away (``ENTRYPOINT []``)."""
    text = item.text.strip()
    if text.startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None  # Docker, too, gives it to a shell then
        if isinstance(found, list) and all(isinstance(word, str) for word in found):
            return (
                Command(tuple(found), is_shell=False, line=item.line) if found else None
            )
    return Command((text,), is_shell=True, line=item.line) if text else None


def _pairs(
    text: str, before: Mapping[str, str], variables: Mapping[str, str]
) -> Mapping[str, str]:
    found = dict(before)
    for name, value in assignments(text):
        if len(found) < MAX_KEPT or name in found:
            found[name] = expanded(value, variables)
    return found
