"""From what git prints when it fails to a reason that a person can act on. Pure; see ``failures``."""

import re
from collections.abc import Sequence

from appliance.builds.errors import (
    BranchNotFoundError,
    BuildFailedError,
    RepositoryNotFoundError,
    RepositoryRefusedError,
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
    said = next(
        (
            line
            for line in reversed(output)
            if line.startswith(("fatal:", "error:", "remote:"))
        ),
        "",
    )
    return first_match(_GIT_RULES, failure) or BuildFailedError(
        f"The repository could not be cloned: {said or 'git said nothing'}",
        output=failure.tail,
    )


def _not_found(failure: Failure, _: re.Match[str]) -> DomainError:
    url = failure.source.url if isinstance(failure.source, GitSource) else ""
    return RepositoryNotFoundError(
        f"There is no git repository at {url} that everybody may read.",
        hint="Check the URL. A private repository is not supported by URL alone.",
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
        hint="For ssh, its user needs a key that the server knows. Over https only public repositories work.",
        output=failure.tail,
    )


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
    (
        re.compile(
            r"Permission denied \([^)]*\)|Authentication failed[^\n]*|Host key verification failed|returned error: 40[13]"
        ),
        _refused,
    ),
    NETWORK_RULE,
)
