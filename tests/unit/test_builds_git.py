"""How a repository is fetched, and what of its listing is refused."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from appliance.builds.errors import (
    CheckoutRefusedError,
    CheckoutTooLargeError,
    RepositoryHostileError,
    StrangeNameError,
)
from appliance.builds.git import Listing, access, clone_argv, lfs_url, unquoted
from appliance.builds.limits import Limits
from appliance.builds.tree_check import is_git_name
from appliance.sources.credentials import Credential, CredentialKind
from appliance.sources.model import GitSource

HOME = Path("/w/access")
SOURCE = GitSource("https://git.example:8443/o/r.git", "main")
TOKEN = Credential(CredentialKind.TOKEN, SecretStr("s/e:cret"), "ada")
KEY = Credential(CredentialKind.DEPLOY_KEY, SecretStr("-----KEY-----"))
LIMITS = Limits(max_bytes=1000, max_files=3, timeout_s=10)
BLOB = "100644 blob 0123456789012345678901234567890123456789"


def listed(*lines: str) -> Exception | None:
    listing = Listing(LIMITS)
    for line in lines:
        listing.feed(line)
    return listing.problem


def test_one_commit_is_fetched_over_few_protocols_and_nothing_is_written() -> None:
    argv = clone_argv(SOURCE, Path("/w/checkout"), access(SOURCE, HOME, None))

    for setting in (
        "protocol.allow=never",
        "core.hooksPath=/dev/null",
        "transfer.fsckObjects=true",
        "credential.helper=",
    ):
        assert argv[argv.index(setting) - 1] == "-c"
    assert argv[argv.index("clone") :] == [
        "clone", "--depth=1", "--single-branch", "--no-tags", "--template=", "--no-checkout", "--progress",
        "--branch=main", "--", "https://git.example:8443/o/r.git", "/w/checkout",
    ]  # fmt: skip


def test_git_asks_nobody_and_reads_no_one_s_configuration() -> None:
    environment = access(SOURCE, HOME, None).environment(Path("/ca"))

    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert environment["HOME"] == str(HOME)
    assert environment["GIT_ALLOW_PROTOCOL"] == "https:http:ssh"
    assert "-oIdentityFile=none" in environment["GIT_SSH_COMMAND"]
    assert "-oIdentityAgent=none" in environment["GIT_SSH_COMMAND"]


def test_a_token_is_in_a_file_for_its_host_alone() -> None:
    way = access(SOURCE, HOME, TOKEN)

    assert way.files["token"] == "https://ada:s%2Fe%3Acret@git.example:8443\n"
    spoken = " ".join([*clone_argv(SOURCE, HOME, way), *way.environment(HOME).values()])
    assert "cret" not in spoken


def test_a_token_stays_here_when_the_address_is_no_longer_confidential() -> None:
    plain = GitSource("http://git.example/o/r.git")

    assert "token" not in access(plain, HOME, TOKEN).files


def test_a_deploy_key_is_used_with_the_hosts_that_were_seen_first() -> None:
    first = access(SOURCE, HOME, KEY)
    later = access(SOURCE, HOME, KEY, "git.example ssh-ed25519 AAAA\n")

    assert first.files["deploy_key"] == "-----KEY-----"
    assert "-oStrictHostKeyChecking=accept-new" in first.ssh
    assert "-oStrictHostKeyChecking=yes" in later.ssh
    assert later.files["known_hosts"].startswith("git.example")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h/o/r.git", "https://h/o/r.git/info/lfs"),
        ("https://h/o/r/", "https://h/o/r.git/info/lfs"),
    ],
)
def test_large_files_come_from_the_repository_s_own_address(
    url: str, expected: str
) -> None:
    assert lfs_url(GitSource(url)) == expected


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("a b.py", "a b.py"),
        (r'"a\303\244.py"', "aä.py"),
        (r'"tab\there\"s\\"', 'tab\there"s\\'),
        (r'"\377"', "\udcff"),
    ],
)
def test_quoted_paths_are_read(raw: str, path: str) -> None:
    assert unquoted(raw) == path


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([f"{BLOB}    1001\ta"], CheckoutTooLargeError),
        ([f"{BLOB}     600\ta", f"{BLOB}     600\tb"], CheckoutTooLargeError),
        ([f"{BLOB}       1\t{name}" for name in "abcd"], CheckoutTooLargeError),
        ([f"{BLOB}       1\tsub/.GIT/config"], RepositoryHostileError),
        ([f"{BLOB}       1\tgit~1/config"], RepositoryHostileError),
        ([f'{BLOB}       1\t".g\\342\\200\\214it"'], RepositoryHostileError),
        ([f'{BLOB}       1\t"\\377"'], StrangeNameError),
        ([f'{BLOB}       1\t"a\\nb"'], StrangeNameError),
        ([f"{BLOB}       1\t{'d/' * 64}f"], StrangeNameError),
        ([f"{BLOB}       1\t{'x' * 256}"], StrangeNameError),
        (["nonsense"], RepositoryHostileError),
    ],
)
def test_a_listing_is_refused_before_anything_is_written(
    lines: list[str], error: type[CheckoutRefusedError]
) -> None:
    assert type(listed(*lines)) is error


def test_an_ordinary_listing_passes() -> None:
    tree = "040000 tree 0123456789012345678901234567890123456789       -\tsrc"

    assert listed(tree, f"{BLOB}     999\tsrc/.gitignore") is None


@pytest.mark.parametrize(
    "name", [".git", ".GIT", ".git.", ".git ", "GIT~1", ".git::$INDEX", ".g\u200cit"]
)
def test_other_spellings_of_git_s_own_directory_are_known(name: str) -> None:
    assert is_git_name(name)


@pytest.mark.parametrize("name", [".gitignore", ".github", "git", ".gitmodules"])
def test_names_that_only_begin_alike_are_not(name: str) -> None:
    assert not is_git_name(name)
