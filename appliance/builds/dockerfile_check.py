"""What a stranger's Dockerfile may not ask for. Pure.

Engines differ in how they read Dockerfiles, so no reading is trusted here: a line counts as an instruction if any reader
could take it for one, and a variable has every value that any of its declarations gives it. A new engine is told the
same by a source policy as well, which sees what is really fetched.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping

from appliance.builds.errors import DockerfileRefusedError
from appliance.core.labels import IMAGE_PREFIX

#: Names under which Docker's own registry is asked.
_DOCKER_HUB = ("docker.io/", "index.docker.io/", "registry-1.docker.io/")
_FRONTENDS = re.compile(
    r"(?:docker\.io/)?docker/dockerfile(?:-upstream)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?"
)
#: Every server's beginning, and nobody's secret; a server that is called base has tags of another shape.
_BASE = re.compile(rf"{IMAGE_PREFIX}base:[0-9a-f]{{12}}(?:-[a-z][a-z0-9-]*)?")
_SYNTAX = re.compile(r"\s*(?:#|//)\s*syntax\s*=\s*(?P<frontend>.*?)\s*", re.IGNORECASE)
_FROM = re.compile(r"\s*(?:ONBUILD\s+)?FROM\s+(?:--\S+\s+)*(\S+)", re.IGNORECASE)
_FROM_OPTION = re.compile(r"(?:--from=|[,=]from=)([^,\s]+)", re.IGNORECASE)
_ARG = re.compile(r"\s*ARG\s+(.*)", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"(\w+)=(\"[^\"]*\"|'[^']*'|\S*)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?([-+])([^}]*))?\})")
_MARKS = str.maketrans("", "", "\"'\\`")
_HOST_RIGHTS = re.compile(
    r"--(?:security=[\"']?insecure|network=[\"']?host)\b", re.IGNORECASE
)
_FETCHING_ADD = re.compile(
    r"\s*(?:ONBUILD\s+)?ADD\s.*?(?:https?://|git@|git://|ssh://)", re.IGNORECASE
)
_MAX_VALUES = 256
_MAX_ROUNDS = 8


def check_dockerfile(text: str, *, has_network: bool) -> None:
    """Refuse a Dockerfile that reaches for what is not its own.

    Args:
        has_network: What BUILD_NETWORK says.

    Raises:
        DockerfileRefusedError: Says which instruction, and why.
    """
    lines = list(_lines(text))
    for line in lines:
        frontend = _SYNTAX.fullmatch(line)
        if frontend and not _FRONTENDS.fullmatch(frontend["frontend"]):
            raise _refused(line, "another program would read it than Docker's own")
        if _HOST_RIGHTS.search(line):
            raise _refused(line, "it asks for rights on this box")
        if not has_network and _FETCHING_ADD.match(line):
            raise _refused(line, "BUILD_NETWORK is none")
    if text.lstrip("\ufeff \t\r\n").startswith("{"):
        raise _refused(text[:80], "it is JSON, which only other readers understand")
    _check_images(lines)


def _check_images(lines: list[str]) -> None:
    declared = _declared(lines)
    for line in lines:
        found = _FROM.match(line)
        references = [found[1]] if found else []
        for reference in (*references, *_FROM_OPTION.findall(line)):
            if any(is_own_image(value) for value in _values(reference, declared)):
                raise _refused(
                    line, "the images of this box's servers are theirs alone"
                )


def is_own_image(reference: str) -> bool:
    """Tell whether a reference means an image that was built here for a server."""
    plain = reference.translate(_MARKS).lower()
    for hub in _DOCKER_HUB:
        plain = plain.removeprefix(hub)
    return plain.startswith(IMAGE_PREFIX) and not _BASE.fullmatch(plain)


def source_policy(*, has_network: bool) -> str:
    """Return the policy that new engines hold while a stranger's Dockerfile is built."""
    denied = [f"docker-image://docker.io/{IMAGE_PREFIX}*"]
    if not has_network:
        denied += ["http://*", "https://*", "git://*"]
    rules: list[dict[str, object]] = [
        {"action": "DENY", "selector": {"identifier": identifier}}
        for identifier in denied
    ]
    base = rf"docker-image://docker\.io/{_BASE.pattern}(?:@.*)?$"
    selector = {"identifier": base, "matchType": "REGEX"}
    rules.append({"action": "ALLOW", "selector": selector})
    return json.dumps({"rules": rules})


def _lines(text: str) -> Iterator[str]:
    """Yield every line, and every instruction as one line, whichever character continues it."""
    raw = text.splitlines()
    yield from raw
    spoken = [
        line for line in raw if line.strip() and not line.lstrip().startswith("#")
    ]
    for mark in ("\\", "`"):
        whole = ""
        for line in spoken:
            is_continued = line.rstrip().endswith(mark)
            whole += line.rstrip().removesuffix(mark) if is_continued else line
            if not is_continued:
                yield whole
                whole = ""
        yield whole


def _declared(lines: list[str]) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in lines:
        if declaration := _ARG.match(line):
            for name, value in _ASSIGNMENT.findall(declaration[1]):
                found.setdefault(name, set()).add(value)
    return found


def _values(reference: str, declared: Mapping[str, set[str]]) -> set[str]:
    """Return all that a reference can mean."""
    waiting = {reference}
    for _ in range(_MAX_ROUNDS):
        if not any(_VARIABLE.search(text) for text in waiting):
            break
        waiting = {
            value for text in waiting for value in _expanded_once(text, declared)
        }
        if len(waiting) > _MAX_VALUES:
            raise _refused(reference, "its variables have too many values")
    if any("$" in text for text in waiting):
        raise _refused(reference, "its variables cannot be followed")
    return waiting


def _expanded_once(text: str, declared: Mapping[str, set[str]]) -> Iterator[str]:
    pieces: list[list[str]] = []
    place = 0
    for match in _VARIABLE.finditer(text):
        pieces.append([text[place : match.start()]])
        known = declared.get(match[1] or match[2], set())
        pieces.append(sorted({*known, match[4] or "", ""}))
        place = match.end()
    pieces.append([text[place:]])
    for number, choice in enumerate(itertools.product(*pieces)):
        if number > _MAX_VALUES:
            raise _refused(text, "its variables have too many values")
        yield "".join(choice)


def _refused(line: str, why: str) -> DockerfileRefusedError:
    short = " ".join(line.split())[:120]
    return DockerfileRefusedError(
        f"The Dockerfile is not built: {why}. The line: {short}",
        hint="Take that out of the Dockerfile.",
    )
