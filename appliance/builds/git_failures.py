"""From what git prints when it fails to a reason that a person can act on. Pure; see ``failures``."""

import re
from collections.abc import Sequence

from appliance.builds.errors import (
    BranchNotFoundError,
    BuildFailedError,
    BuildToolError,
    CheckoutTooLargeError,
    HostKeyChangedError,
    LfsError,
    RepositoryHostileError,
    RepositoryNotFoundError,
    RepositoryRefusedError,
    SubmoduleError,
)
from appliance.builds.failures import (
    CERTIFICATE_RULE,
    CLONE,
    DISK_RULE,
    NETWORK_RULE,
    Failure,
    Rule,
    first_match,
)
from appliance.core.errors import DomainError
from appliance.sources.model import GitSource


def explain_git(source: GitSource, output: Sequence[str]) -> DomainError:
    """Return the error of a failed ``git clone``."""
    failure = Failure(source, CLONE, output)
    return first_match(_GIT_RULES, failure) or BuildFailedError(
        f"The repository could not be cloned: {_last_words(output)}",
        output=failure.tail,
    )


def explain_submodule(source: GitSource, output: Sequence[str]) -> DomainError:
    """Return the error of a failed ``git submodule update``."""
    failure = Failure(source, CLONE, output)
    known = first_match((DISK_RULE, _HOSTILE_RULE, _TOO_LARGE_RULE), failure)
    return known or SubmoduleError(
        f"A submodule could not be fetched: {_last_words(output)}",
        hint="It must be reachable by https or ssh with the same credential; or leave submodules out.",
        output=failure.tail,
    )


def explain_lfs(source: GitSource, output: Sequence[str]) -> DomainError:
    """Return the error of a failed ``git lfs pull``."""
    failure = Failure(source, CLONE, output)
    known = first_match((DISK_RULE, _NO_LFS_RULE, _TOO_LARGE_RULE), failure)
    return known or LfsError(
        f"The repository's large files could not be fetched: {_last_words(output)}",
        hint="The git host must serve them at the repository's own address; or leave lfs out.",
        output=failure.tail,
    )


def _last_words(output: Sequence[str]) -> str:
    return next(
        (
            line
            for line in reversed(output)
            if line.startswith(("fatal:", "error:", "remote:"))
        ),
        output[-1] if output else "git said nothing",
    )


def _not_found(failure: Failure, _: re.Match[str]) -> DomainError:
    url = failure.source.url if isinstance(failure.source, GitSource) else ""
    return RepositoryNotFoundError(
        f"There is no git repository at {url} that everybody may read, or that this server's credential opens.",
        hint="Check the URL. A private repository needs a token or a deploy key.",
        output=failure.tail,
    )


def _branch_not_found(failure: Failure, match: re.Match[str]) -> DomainError:
    return BranchNotFoundError(
        f"The repository has no branch or tag named {match['branch']}.",
        hint="Check the name, or leave it out to take the default branch.",
        output=failure.tail,
    )


def _refused(failure: Failure, match: re.Match[str]) -> DomainError:
    return RepositoryRefusedError(
        f"The git server did not let this box in: {match[0]}.",
        hint="Over ssh the server needs a deploy key that the git host knows; a private repository over https needs a token.",
        output=failure.tail,
    )


def _host_key(failure: Failure, _: re.Match[str]) -> DomainError:
    return HostKeyChangedError(
        "The git server shows another host key than at the first fetch, so nothing was sent to it.",
        hint="If its owner changed the key, set the deploy key anew: the next fetch then takes the new one.",
        output=failure.tail,
    )


def _hostile(failure: Failure, match: re.Match[str]) -> DomainError:
    return RepositoryHostileError(
        f"git refuses the repository because it could do harm: {match[0]}.",
        hint="Its history holds an object that is made to trick git, or is broken; the owner has to mend it.",
        output=failure.tail,
    )


def _too_large(failure: Failure, _: re.Match[str]) -> DomainError:
    return CheckoutTooLargeError(
        "A file of the repository is larger, or needs more memory, than a source may.",
        hint="SOURCE_MAX_MIB bounds it.",
        output=failure.tail,
    )


def _no_lfs(failure: Failure, _: re.Match[str]) -> DomainError:
    return BuildToolError(
        "The repository's large files need git-lfs, which is not on this box.",
        hint="Install git-lfs.",
        output=failure.tail,
    )


_HOSTILE_RULE: Rule = (
    re.compile(
        r"[^:\s]+: (?:disallowed|contains|illegal)[^\n]*|fsck error in pack[^\n]*|invalid path '[^'\n]*'"
        r"|(?:refusing to|ignoring suspicious) [^\n]*submodule[^\n]*|transport '[^'\n]*' not allowed"
    ),
    _hostile,
)
_TOO_LARGE_RULE: Rule = (
    re.compile(r"[Oo]ut of memory|mmap failed: Cannot allocate|File too large"),
    _too_large,
)
_NO_LFS_RULE: Rule = (re.compile(r"'lfs' is not a git command"), _no_lfs)


_GIT_RULES: Sequence[Rule] = (
    DISK_RULE,
    (re.compile(r"Remote branch (?P<branch>\S+) not found"), _branch_not_found),
    (
        re.compile(r"Could not find remote branch (?P<branch>\S+) to clone"),
        _branch_not_found,
    ),
    # A server that hides private repositories asks for a name where there is nothing.
    (
        re.compile(
            r"repository '[^']*' not found|Repository not found|does not appear to be a git repository"
            r"|not valid: is this a git repository|could not read Username|terminal prompts disabled"
        ),
        _not_found,
    ),
    CERTIFICATE_RULE,
    (re.compile(r"Host key verification failed|HOST IDENTIFICATION"), _host_key),
    _HOSTILE_RULE,
    _TOO_LARGE_RULE,
    (
        re.compile(
            r"Permission denied \([^)]*\)|Authentication failed[^\n]*|returned error: 40[13]"
        ),
        _refused,
    ),
    NETWORK_RULE,
)
