"""Repositories that try something, made object by object, each with the code of the failure that it must come to."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.git_http import GitServer

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Author",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_COMMITTER_NAME": "Author",
    "GIT_COMMITTER_EMAIL": "author@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ["PATH"],
}
#: Bounds that the bombs below go beyond.
MAX_BYTES = 24 * 1024**2
MAX_FILES = 2000
_FILE, _PROGRAM, _LINK, _TREE, _MODULE = b"100644", b"100755", b"120000", b"40000", b"160000"  # fmt: skip


class Repository:
    """One repository, of which git checks nothing while it is made."""

    def __init__(self, server: GitServer, name: str) -> None:
        self.place = server.root / name / ".git"
        self.url = f"{server.url}/{name}/.git"
        self.place.mkdir(parents=True)
        self._git("init", "-q", "--bare", "-b", "main", ".")

    def _git(self, *arguments: str, body: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.place, env=_IDENTITY, input=body, capture_output=True, check=True,
        )  # fmt: skip
        return done.stdout.decode().strip()

    def blob(self, content: bytes) -> str:
        """Store a file's content."""
        return self._git("hash-object", "-w", "--stdin", body=content)

    def tree(self, *entries: tuple[bytes, bytes, str]) -> str:
        """Store a directory of (mode, name, object), as it stands."""
        body = b"".join(
            mode + b" " + name + b"\0" + bytes.fromhex(found)
            for mode, name, found in entries
        )
        return self._git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", body=body)  # fmt: skip

    def commit(self, tree: str) -> str:
        """Make a directory the only commit of main."""
        found = self._git("commit-tree", tree, body=b"A commit\n")
        self._git("update-ref", "refs/heads/main", found)
        return found

    def files(self, *entries: tuple[bytes, bytes, bytes]) -> str:
        """Make files of (mode, name, content) the only commit."""
        return self.commit(
            self.tree(*((mode, name, self.blob(text)) for mode, name, text in entries))
        )


@dataclass(frozen=True)
class Trick:
    """One repository."""

    name: str
    #: ``fetched``: it is harmless, and nothing of it runs.
    code: str
    make: Callable[[Repository], object]
    has_submodules: bool = False


def _named(name: bytes) -> Callable[[Repository], object]:
    return lambda made: made.files((_FILE, name, b"x"))


def _inside(
    directory: bytes, name: bytes = b"config"
) -> Callable[[Repository], object]:
    return lambda made: made.commit(
        made.tree((_TREE, directory, made.tree((_FILE, name, made.blob(b"x")))))
    )


def _link(target: bytes, name: bytes = b"link") -> Callable[[Repository], object]:
    return lambda made: made.files((_LINK, name, target))


def _modules(
    url: str, path: str = "sub", name: str = "sub", more: str = ""
) -> Callable[[Repository], object]:
    text = f'[submodule "{name}"]\n\tpath = {path}\n\turl = {url}\n{more}'

    def make(made: Repository) -> object:
        modules = (_FILE, b".gitmodules", made.blob(text.encode()))
        return made.commit(made.tree(modules, (_MODULE, b"sub", "1" * 40)))

    return make


def _bomb(made: Repository) -> object:
    found = made.tree(*((_FILE, b"%d" % n, made.blob(b"x")) for n in range(10)))
    for _ in range(9):
        found = made.tree(*((_TREE, b"%d" % n, found) for n in range(10)))
    return made.commit(found)


def _deep(made: Repository) -> object:
    found = made.tree((_FILE, b"f", made.blob(b"x")))
    for _ in range(100):
        found = made.tree((_TREE, b"d", found))
    return made.commit(found)


def _running(made: Repository) -> object:
    """Everything by which a repository could have a program run while it is fetched."""
    evil = b"#!/bin/sh\ntouch /tmp/evil\n"
    attributes = b"* filter=evil diff=evil merge=evil\n*.bin filter=lfs diff=lfs merge=lfs -text\n"
    hooks = made.tree((_PROGRAM, b"post-checkout", made.blob(evil)))
    config = b'[filter "evil"]\n\tsmudge = touch /tmp/evil\n[core]\n\tfsmonitor = touch /tmp/evil\n'
    return made.commit(
        made.tree(
            (_FILE, b".gitattributes", made.blob(attributes)),
            (_FILE, b".gitconfig", made.blob(config)),
            (_FILE, b".lfsconfig", made.blob(b"[lfs]\n\turl = file:///etc\n")),
            (_FILE, b"a.bin", made.blob(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")),
            (_TREE, b"hooks", hooks),
        )
    )  # fmt: skip


TRICKS = (
    Trick("link-to-a-file-of-the-host", "link_out_of_tree", _link(b"/etc/passwd")),
    Trick("link-up", "link_out_of_tree", _link(b"../../../../etc/passwd")),
    Trick("dockerfile-is-a-link", "link_out_of_tree", _link(b"/etc/shadow", b"Dockerfile")),
    Trick("link-to-itself", "fetched", _link(b"link")),
    Trick("git-directory", "repository_hostile", _inside(b".git")),
    Trick("git-directory-in-capitals", "repository_hostile", _inside(b".GIT")),
    Trick("git-directory-short", "repository_hostile", _inside(b"git~1")),
    Trick("git-directory-hidden", "repository_hostile", _inside(".g\u200cit".encode())),
    Trick("git-is-a-link", "repository_hostile", _link(b"/etc", b".git")),
    Trick("up", "repository_hostile", _inside(b"..")),
    Trick("up-in-a-name", "repository_hostile", _named(b"a/../../evil")),
    Trick("absolute", "repository_hostile", _named(b"/tmp/evil")),
    Trick("not-utf-8", "strange_name", _named(b"caf\xe9")),
    Trick("line-break", "strange_name", _named(b"a\nb")),
    Trick("long-name", "strange_name", _named(b"n" * 300)),
    Trick("deep", "strange_name", _deep),
    Trick("thousand-million-files", "checkout_too_large", _bomb),
    Trick("one-large-file", "checkout_too_large", lambda made: made.files((_FILE, b"zeros", bytes(MAX_BYTES + 1)))),
    Trick("modules-is-a-link", "repository_hostile", _link(b"/etc/passwd", b".gitmodules")),
    Trick("module-url-is-an-option", "repository_hostile", _modules("-u./evil")),
    Trick("module-name-leads-out", "repository_hostile", _modules("https://example.org/x", name="../../evil")),
    Trick("module-path-is-an-option", "repository_hostile", _modules("https://example.org/x", path="-u")),
    Trick("module-update-is-a-program", "repository_hostile", _modules("https://h/x", more="\tupdate = !touch /tmp/evil\n")),
    Trick("module-of-the-host", "repository_hostile", _modules("file:///etc"), has_submodules=True),
    Trick("module-runs-a-program", "repository_hostile", _modules("ext::touch /tmp/evil"), has_submodules=True),
    Trick("module-by-path", "submodule_failed", _modules("/etc"), has_submodules=True),
    Trick("modules-not-asked-for", "fetched", _modules("ext::touch /tmp/evil")),
    Trick("what-could-run", "fetched", _running),
)  # fmt: skip


def tried(server: GitServer, trick: Trick) -> str:
    """Make a trick's repository and return its URL."""
    made = Repository(server, trick.name)
    trick.make(made)
    return made.url


def evil() -> list[Path]:
    """Return what a trick left where it wanted to."""
    return list(Path("/tmp").glob("evil*"))
