"""From what tools print when they fail to a reason that a person can act on. Pure; a table, tested with recorded output.

The first rule that matches decides, so what explains the most stands first: a full disk
also breaks downloads.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.builds.asof import MIN_AGE_SETTING
from appliance.builds.errors import (
    BuildFailedError,
    DiskFullError,
    ImageNotFoundError,
    NetworkUnreachableError,
    NoProgramError,
    PackageNotFoundError,
    PackageTooNewError,
    PackageUnfitError,
    PackageVersionNotFoundError,
)
from appliance.core.errors import DomainError
from appliance.infra.errors import EngineUnavailableError
from appliance.sources.model import Ecosystem, GitSource, PackageSource, Source

#: Lines that a failure carries along.
SHOWN_LINES = 12
#: The step in which a repository is fetched.
CLONE = "git clone"

REGISTRIES = {Ecosystem.PYPI: "PyPI", Ecosystem.NPM: "npm"}


@dataclass(frozen=True)
class Failure:
    """What is known of a failed step."""

    source: Source
    #: As buildx names it; empty if no step had begun.
    step: str
    output: Sequence[str]

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, oldest first."""
        return tuple(line for line in self.output if line.strip())[-SHOWN_LINES:]


Rule = tuple[re.Pattern[str], Callable[[Failure, re.Match[str]], DomainError]]


def explain(failure: Failure) -> DomainError:
    """Return the error of a failed ``buildx build``."""
    return first_match(_BUILD_RULES, failure) or _unexplained(failure)


def explain_pull(reference: str, message: str) -> DomainError:
    """Return the error of an image that could not be pulled; it keeps the engine's own words."""
    said = message.rstrip(".")
    if _NETWORK.search(message):
        return NetworkUnreachableError(
            f"The image {reference} is not on this box, and its registry could not be reached. The engine says: {said}.",
            hint="Check the registry's name and this box's network and proxy.",
        )
    return ImageNotFoundError(
        f"There is no image {reference} that could be pulled. The engine says: {said}.",
        hint="Check name and tag; for a private image, log this box in to its registry.",
    )


def first_match(rules: Sequence[Rule], failure: Failure) -> DomainError | None:
    """Return what the first rule that matches makes of a failure; ``None``: none does."""
    text = "\n".join([failure.step, *failure.output])
    for pattern, explain_with in rules:
        if match := pattern.search(text):
            return explain_with(failure, match)
    return None


def _unexplained(failure: Failure) -> DomainError:
    step = f" at step '{failure.step}'" if failure.step else ""
    last = next(
        (line for line in reversed(failure.tail) if not line.startswith("ERROR: ")), ""
    )
    said = f" Its last line: {last.strip()}" if last else ""
    return BuildFailedError(
        f"The build failed{step}.{said}",
        hint="The build log has the rest.",
        output=failure.tail,
    )


def disk_full(output: Sequence[str] = ()) -> DiskFullError:
    """Return the error of a full disk."""
    return DiskFullError(
        "The disk is full: a file could not be written during the build.",
        hint="Free some space (docker system df shows what the engine uses), then redeploy.",
        output=tuple(output),
    )


def _engine_away(failure: Failure, match: re.Match[str]) -> DomainError:
    said = next(line for line in failure.output if match[0] in line)
    return EngineUnavailableError(
        f"The container engine went away during the build: {said.removeprefix('ERROR: ').rstrip('.')}.",
        hint="Is Docker running? Try: docker version",
    )


def _package_not_found(failure: Failure, match: re.Match[str]) -> DomainError:
    name = match["name"]
    if isinstance(failure.source, PackageSource) and _same(name, failure.source.name):
        registry = REGISTRIES[failure.source.ecosystem]
        return PackageNotFoundError(
            f"{registry} has no package named {failure.source.name}.",
            hint="Check the spelling, and that it is not a private package.",
            output=failure.tail,
        )
    return PackageNotFoundError(
        f"A package that is needed, {name}, is not in its registry.",
        hint="Only the server's authors can mend that; another version may work.",
        output=failure.tail,
    )


def _version_not_found(failure: Failure, match: re.Match[str]) -> DomainError:
    name, version = match["name"], match["version"]
    if isinstance(failure.source, PackageSource) and _same(name, failure.source.name):
        registry = REGISTRIES[failure.source.ecosystem]
        return PackageVersionNotFoundError(
            f"{registry} has {failure.source.name}, but not version {version}.",
            hint="Check the version, or leave it out to take the newest.",
            output=failure.tail,
        )
    return PackageVersionNotFoundError(
        f"A version that is needed, {name} {version}, is not in its registry.",
        hint="Only the server's authors can mend that; another version may work.",
        output=failure.tail,
    )


def _too_new(failure: Failure, match: re.Match[str]) -> DomainError:
    name = next(found for found in match.group("uv", "some", "all") if found)
    if match["days"]:
        return PackageTooNewError(
            f"Nothing of {name} is old enough: {MIN_AGE_SETTING} is {match['days']}, so only what was published"
            f" before {match['before']} is taken.",
            hint=f"Wait, take an older version, or lower {MIN_AGE_SETTING}.",
            output=failure.tail,
        )
    return PackageTooNewError(
        f"Nothing of {name} was published {match['why'].rstrip('.')}.",
        hint="Give a later as_of, or an older version.",
        output=failure.tail,
    )


def _same(one: str, other: str) -> bool:
    def normal(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()

    return normal(one) == normal(other)


def _unfit(sentence: str, hint: str) -> Callable[[Failure, re.Match[str]], DomainError]:
    def explain_with(failure: Failure, match: re.Match[str]) -> DomainError:
        return PackageUnfitError(
            sentence.format(**match.groupdict()), hint=hint, output=failure.tail
        )

    return explain_with


def _no_program(failure: Failure, match: re.Match[str]) -> DomainError:
    return NoProgramError(
        f"There is nothing to start: {match['text']}",
        hint="Is it a server? Libraries have no program.",
        output=failure.tail,
    )


def _untrusted(failure: Failure, _: re.Match[str]) -> DomainError:
    return NetworkUnreachableError(
        "A certificate on the way to the registry is not trusted.",
        hint="If a proxy stands in between, put its certificate into the file that CA_BUNDLE names.",
        output=failure.tail,
    )


def _network_away(failure: Failure, match: re.Match[str]) -> DomainError:
    where = ""
    if isinstance(failure.source, PackageSource):
        where = REGISTRIES[failure.source.ecosystem]
    elif isinstance(failure.source, GitSource) and failure.step == CLONE:
        where = failure.source.url
    return NetworkUnreachableError(
        f"{where or 'What the build wanted to download from'} could not be reached: {match[0]}.",
        hint="Check this box's network, name service and proxy (HTTPS_PROXY), then redeploy.",
        output=failure.tail,
    )


def _base_missing(failure: Failure, match: re.Match[str]) -> DomainError:
    return ImageNotFoundError(
        f"The Dockerfile builds on {match['image']}, which could not be had from its registry.",
        hint="Check the name in FROM, and that this box can reach the registry and may read the image.",
        output=failure.tail,
    )


_NETWORK = re.compile(
    r"Temporary failure in name resolution|dns error|Could not resolve (?:host|hostname)[^\n]*|no such host|EAI_AGAIN|ENOTFOUND"
    r"|ECONNREFUSED|ECONNRESET|ETIMEDOUT|Failed to connect to [^\n]+|[Cc]onnection refused|Connection timed out"
    r"|[Nn]etwork is unreachable|i/o timeout|TLS handshake timeout|error sending request for url|Could not read from remote"
)
_CERTIFICATE = re.compile(
    r"certificate verify failed|UnknownIssuer|invalid peer certificate|SELF_SIGNED_CERT|self-signed certificate"
    r"|UNABLE_TO_(?:GET_ISSUER_CERT|VERIFY_LEAF)\w*|certificate signed by unknown authority|SSL certificate problem"
)
DISK_RULE: Rule = (
    re.compile(r"no space left on device|ENOSPC", re.IGNORECASE),
    lambda failure, _: disk_full(failure.tail),
)

CERTIFICATE_RULE: Rule = (_CERTIFICATE, _untrusted)
NETWORK_RULE: Rule = (_NETWORK, _network_away)

_BUILD_RULES: Sequence[Rule] = (
    DISK_RULE,
    (
        re.compile(
            r"Cannot connect to the Docker daemon|error during connect|error reading from server: EOF"
            r"|transport: Error while dialing|closing transport due to|docker\.sock: connect"
        ),
        _engine_away,
    ),
    (re.compile(r"mcp-host: no-program: (?P<text>.+)"), _no_program),
    (
        re.compile(
            rf"Only what was published before (?P<before>\S+) is taken: (?P<why>(?:{MIN_AGE_SETTING} is (?P<days>\d+))?.*)"
            r"[\s\S]*?(?:`(?P<uv>[^`]+)` was filtered by `exclude-newer`"
            r"|No matching version found for (?P<some>@?[^@\s]+)@[^\n]* with a date before"
            r"|No versions available for (?P<all>\S+))"
        ),
        _too_new,
    ),
    (
        re.compile(r"Because (?P<name>\S+) was not found in the package registry"),
        _package_not_found,
    ),
    (
        re.compile(
            r"requested resource '(?P<name>@?[^@'\s]+)@[^']*' could not be found"
        ),
        _package_not_found,
    ),
    (
        re.compile(r"'(?P<name>@?[^@'\s]+)@[^']*' is not in this registry"),
        _package_not_found,
    ),
    (
        re.compile(
            r"there (?:is|are) no versions? of (?P<name>[^\s=<>]+)==(?P<version>\S+?)[\s,]"
        ),
        _version_not_found,
    ),
    (
        re.compile(
            r"No matching version found for (?P<name>@?[^@\s]+)@(?P<version>\S+?)\.?(?:\s|$)"
        ),
        _version_not_found,
    ),
    (
        re.compile(
            r"current Python version \((?P<here>[^)]+)\) does not satisfy Python(?P<wanted>\S+)"
        ),
        _unfit(
            "It needs Python {wanted}, and servers run on Python {here} here.",
            "Take another version of it, or a repository with a Dockerfile of its own.",
        ),
    ),
    (
        re.compile(
            r"No such file or directory: '(?:\S*[-/])?(?P<tool>gcc|g\+\+|cc|c\+\+|clang|cargo|rustc)'"
        ),
        _unfit(
            "A part of it is only published as source code, and compiling that needs {tool}, which base images leave out.",
            "Take a version with ready wheels for this Python, or a repository with a Dockerfile of its own.",
        ),
    ),
    (
        re.compile(
            r"gyp ERR! (?:find Python|stack Error: not found: (?P<tool>make)|build error)"
        ),
        _unfit(
            "A part of it must be compiled for Node, and the tools for that are not in servers' base images.",
            "Take a version with ready binaries, or a repository with a Dockerfile of its own.",
        ),
    ),
    CERTIFICATE_RULE,
    (
        re.compile(
            r"load metadata for (?P<image>\S+)\n(?:.*\n)*?.*"
            r"(?:no such host|manifest unknown|not found|failed to do request|i/o timeout|denied)"
        ),
        _base_missing,
    ),
    NETWORK_RULE,
    (
        re.compile(r"Failed to build `(?P<what>[^`]+)`"),
        _unfit(
            "{what} could not be built from its source code.",
            "Take a version with ready wheels for this Python, or a repository with a Dockerfile of its own.",
        ),
    ),
)
