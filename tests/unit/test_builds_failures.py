# ruff: noqa: E501 - recorded output has the lines it has
"""Reasons, from what the tools really printed (hosts renamed)."""

import pytest

from appliance.builds.errors import (
    BranchNotFoundError,
    BuildFailedError,
    CheckoutTooLargeError,
    DiskFullError,
    HostKeyChangedError,
    ImageNotFoundError,
    NetworkUnreachableError,
    NoProgramError,
    PackageNotFoundError,
    PackageTooNewError,
    PackageUnfitError,
    PackageVersionNotFoundError,
    RepositoryHostileError,
    RepositoryNotFoundError,
    RepositoryRefusedError,
)
from appliance.builds.failures import Failure, explain, explain_pull
from appliance.builds.git_failures import explain_git
from appliance.infra.errors import EngineUnavailableError
from appliance.sources.model import Ecosystem, GitSource, PackageSource, Source

TIME = PackageSource(Ecosystem.PYPI, "mcp-server-time")
MEMORY = PackageSource(Ecosystem.NPM, "@modelcontextprotocol/server-memory")
REPOSITORY = GitSource("https://git.example/o/r.git", "nope")
INSTALL = '[2/2] RUN ["/opt/mcp/install", "pypi", "…"]'
FAILED = "ERROR: failed to solve: executor failed running [/opt/mcp/install pypi …]: exit code: 1"

BUILDS: list[tuple[str, Source, list[str], type[Exception], str]] = [
    (
        "pypi-unknown",
        PackageSource(Ecosystem.PYPI, "mcp_server.nope[cli]"),
        [
            "error: No solution found when resolving dependencies",
            "  cause: Because mcp-server-nope was not found in the package registry and you require mcp-server-nope, we can conclude that your requirements are unsatisfiable.",
        ],
        PackageNotFoundError,
        "PyPI has no package named mcp_server.nope[cli].",
    ),
    (
        "pypi-too-new",
        TIME,
        [
            "Only what was published before 2026-11-14T00:00:00Z is taken: PACKAGE_MIN_RELEASE_AGE_DAYS is 7.",
            "error: No solution found when resolving dependencies",
            "  cause: Because there are no versions of mcp-server-time and you require mcp-server-time, we can conclude that your requirements are unsatisfiable.",
            "hint: `mcp-server-time` was filtered by `exclude-newer` to only include packages uploaded before 2026-11-14T00:00:00Z. The latest version satisfying the requirement is v2026.11.20.",
        ],
        PackageTooNewError,
        "Nothing of mcp-server-time is old enough: PACKAGE_MIN_RELEASE_AGE_DAYS is 7, so only what was published before 2026-11-14T00:00:00Z is taken.",
    ),
    (
        "pypi-pinned-too-new-as-of",
        TIME,
        [
            "Only what was published before 2020-01-02T00:00:00Z is taken: as of 2020-01-01.",
            "  cause: Because there is no version of mcp-server-time==2025.4.25 and you require mcp-server-time==2025.4.25, we can conclude that your requirements are unsatisfiable.",
            "hint: `mcp-server-time` was filtered by `exclude-newer` to only include packages uploaded before 2020-01-02T00:00:00Z.",
        ],
        PackageTooNewError,
        "Nothing of mcp-server-time was published as of 2020-01-01.",
    ),
    (
        "npm-too-new",
        MEMORY,
        [
            "Only what was published before 2026-11-14T00:00:00Z is taken: PACKAGE_MIN_RELEASE_AGE_DAYS is 7.",
            "npm error code ENOVERSIONS",
            "npm error No versions available for @modelcontextprotocol/server-memory",
        ],
        PackageTooNewError,
        "Nothing of @modelcontextprotocol/server-memory is old enough: PACKAGE_MIN_RELEASE_AGE_DAYS is 7",
    ),
    (
        "npm-dependency-too-new",
        MEMORY,
        [
            "Only what was published before 2026-11-14T00:00:00Z is taken: PACKAGE_MIN_RELEASE_AGE_DAYS is 7.",
            "npm error code ETARGET",
            "npm error notarget No matching version found for zod@^4.0.0 with a date before 11/14/2026, 12:00:00 AM.",
        ],
        PackageTooNewError,
        "Nothing of zod is old enough: PACKAGE_MIN_RELEASE_AGE_DAYS is 7",
    ),
    (
        "pypi-dependency-unknown",
        TIME,
        [
            "  cause: Because left-pad-4711 was not found in the package registry and mcp-server-time==1.0 depends on left-pad-4711, we can conclude that …"
        ],
        PackageNotFoundError,
        "A package that is needed, left-pad-4711, is not in its registry.",
    ),
    (
        "pypi-version",
        TIME,
        [
            "  cause: Because there is no version of mcp-server-time==0.0.99 and you require mcp-server-time==0.0.99, we can conclude that your requirements are unsatisfiable."
        ],
        PackageVersionNotFoundError,
        "PyPI has mcp-server-time, but not version 0.0.99.",
    ),
    (
        "npm-unknown",
        MEMORY,
        [
            "npm error code E404",
            "npm error 404 Not Found - GET https://npm.example/@modelcontextprotocol%2fserver-memory",
            "npm error 404  The requested resource '@modelcontextprotocol/server-memory@latest' could not be found or you do not have permission to access it.",
        ],
        PackageNotFoundError,
        "npm has no package named @modelcontextprotocol/server-memory.",
    ),
    (
        "npm-version",
        MEMORY,
        [
            "npm error code ETARGET",
            "npm error notarget No matching version found for @modelcontextprotocol/server-memory@99.99.99.",
            "npm error notarget In most cases you or one of your dependencies are requesting a package version that doesn't exist.",
        ],
        PackageVersionNotFoundError,
        "npm has @modelcontextprotocol/server-memory, but not version 99.99.99.",
    ),
    (
        "pypi-compiler",
        TIME,
        [
            "error: Failed to build `netifaces==0.11.0`",
            "         error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'",
            "hint: Build failures usually indicate a problem with the package or the build environment",
        ],
        PackageUnfitError,
        "compiling that needs gcc",
    ),
    (
        "pypi-source",
        TIME,
        [
            "error: Failed to build `numpy==1.19.0`",
            "ModuleNotFoundError: No module named 'distutils.msvccompiler'",
        ],
        PackageUnfitError,
        "numpy==1.19.0 could not be built from its source code.",
    ),
    (
        "pypi-python",
        TIME,
        [
            "  cause: Because the current Python version (3.13.5) does not satisfy Python>=3.14 and thing==1.0 depends on Python>=3.14, we can conclude that …"
        ],
        PackageUnfitError,
        "It needs Python >=3.14, and servers run on Python 3.13.5 here.",
    ),
    (
        "pypi-no-network",
        TIME,
        [
            "error: Request failed after 3 retries in 6.6s",
            "  cause: Failed to fetch: https://pypi.example/simple/mcp-server-time/",
            "  cause: client error (Connect)",
            "  cause: dns error",
            "  cause: failed to lookup address information: Temporary failure in name resolution",
        ],
        NetworkUnreachableError,
        "PyPI could not be reached: dns error.",
    ),
    (
        "npm-no-network",
        MEMORY,
        [
            "npm error code EAI_AGAIN",
            "npm error request to https://npm.example/x failed, reason: getaddrinfo EAI_AGAIN npm.example",
        ],
        NetworkUnreachableError,
        "npm could not be reached: EAI_AGAIN.",
    ),
    (
        "untrusted",
        TIME,
        [
            "  cause: client error (Connect)",
            "  cause: invalid peer certificate: UnknownIssuer",
        ],
        NetworkUnreachableError,
        "A certificate on the way to the registry is not trusted.",
    ),
    (
        "disk",
        TIME,
        [
            "error: Failed to build `x==1`",
            "dd: error writing '/x': No space left on device",
        ],
        DiskFullError,
        "The disk is full",
    ),
    ("disk-npm", MEMORY, ["npm error code ENOSPC"], DiskFullError, "The disk is full"),
    (
        "engine-away",
        TIME,
        [
            "ERROR: Cannot connect to the Docker daemon at unix:///run/docker.sock. Is the docker daemon running?"
        ],
        EngineUnavailableError,
        "Cannot connect to the Docker daemon",
    ),
    (
        "engine-killed",
        TIME,
        [
            "ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF"
        ],
        EngineUnavailableError,
        "EOF",
    ),
    (
        "no-program",
        TIME,
        [
            "mcp-host: no-program: idna 3.20 has no program to start: no console script and no __main__ module."
        ],
        NoProgramError,
        "idna 3.20 has no program to start",
    ),
    (
        "no-reason-known",
        TIME,
        ["hello", "bad", FAILED],
        BuildFailedError,
        f"The build failed at step '{INSTALL}'. Its last line: bad",
    ),
]


@pytest.mark.parametrize(
    ("source", "output", "error", "reason"),
    [item[1:] for item in BUILDS],
    ids=[item[0] for item in BUILDS],
)
def test_a_failed_build_is_explained(
    source: Source, output: list[str], error: type[Exception], reason: str
) -> None:
    found = explain(Failure(source, INSTALL, [*output, FAILED]))

    assert type(found) is error
    assert reason in found.reason


def test_a_base_that_cannot_be_had_is_named() -> None:
    output = [
        'ERROR: failed to do request: Head "https://registry.example/v2/none/manifests/1": dial tcp: lookup registry.example on 10.0.0.53:53: no such host'
    ]

    found = explain(
        Failure(
            REPOSITORY, "[internal] load metadata for registry.example/none:1", output
        )
    )

    assert type(found) is ImageNotFoundError
    assert "builds on registry.example/none:1" in found.reason


GIT: list[tuple[list[str], type[Exception], str]] = [
    (
        [
            "Cloning into 'c'...",
            "fatal: repository 'https://git.example/o/r.git/' not found",
        ],
        RepositoryNotFoundError,
        "no git repository at https://git.example/o/r.git",
    ),
    (
        [
            "remote: Repository not found.",
            "fatal: Authentication failed for 'https://git.example/o/r.git/'",
        ],
        RepositoryNotFoundError,
        "that everybody may read",
    ),
    (
        [
            "fatal: could not read Username for 'https://git.example': terminal prompts disabled"
        ],
        RepositoryNotFoundError,
        "that everybody may read",
    ),
    (
        ["fatal: https://git.example/info/refs not valid: is this a git repository?"],
        RepositoryNotFoundError,
        "no git repository",
    ),
    (
        [
            "warning: Could not find remote branch nope to clone.",
            "fatal: Remote branch nope not found in upstream origin",
        ],
        BranchNotFoundError,
        "no branch or tag named nope",
    ),
    (
        [
            "git@git.example: Permission denied (publickey).",
            "fatal: Could not read from remote repository.",
        ],
        RepositoryRefusedError,
        "Permission denied (publickey)",
    ),
    (
        [
            "Host key verification failed.",
            "fatal: Could not read from remote repository.",
        ],
        HostKeyChangedError,
        "another host key than at the first fetch",
    ),
    (
        [
            "error: object 4b825dc642cb6eb9a060e54bf8d69288fbee4904: gitmodulesUrl: disallowed submodule url: -u./x",
            "fatal: fsck error in packed object",
        ],
        RepositoryHostileError,
        "gitmodulesUrl: disallowed submodule url",
    ),
    (["fatal: Out of memory, malloc failed"], CheckoutTooLargeError, "SOURCE_MAX_MIB"),
    (
        [
            "fatal: unable to access 'https://git.example/o/r.git/': Could not resolve host: git.example"
        ],
        NetworkUnreachableError,
        "https://git.example/o/r.git could not be reached: Could not resolve host: git.example",
    ),
    (
        [
            "fatal: unable to access 'http://127.0.0.1:1/x.git/': Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server"
        ],
        NetworkUnreachableError,
        "Failed to connect to 127.0.0.1 port 1",
    ),
    (
        [
            "fatal: unable to access 'https://git.example/': SSL certificate problem: self-signed certificate in certificate chain"
        ],
        NetworkUnreachableError,
        "CA_BUNDLE",
    ),
    (
        [
            "fatal: write error: No space left on device",
            "fatal: fetch-pack: invalid index-pack output",
        ],
        DiskFullError,
        "The disk is full",
    ),
    (
        ["fatal: something that nobody has seen"],
        BuildFailedError,
        "The repository could not be cloned: fatal: something that nobody has seen",
    ),
]


@pytest.mark.parametrize(("output", "error", "reason"), GIT)
def test_a_failed_clone_is_explained(
    output: list[str], error: type[Exception], reason: str
) -> None:
    found = explain_git(REPOSITORY, output)

    assert type(found) is error
    assert reason in found.reason


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (
            'Get "https://registry.example/v2/": dial tcp: lookup registry.example on 10.0.0.53:53: no such host',
            NetworkUnreachableError,
        ),
        (
            "manifest for registry.example/x:1 not found: manifest unknown: manifest unknown",
            ImageNotFoundError,
        ),
        (
            "pull access denied for x, repository does not exist or may require 'docker login'",
            ImageNotFoundError,
        ),
    ],
)
def test_a_failed_pull_repeats_the_engine(message: str, error: type[Exception]) -> None:
    found = explain_pull("registry.example/x:1", message)

    assert type(found) is error
    assert message in found.reason
