"""A git server: repositories of the test's own making, over smart HTTP by git's own backend."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_IDENTITY = {
    "GIT_AUTHOR_NAME": "Author",
    "GIT_AUTHOR_EMAIL": "author@example.org",
    "GIT_COMMITTER_NAME": "Author",
    "GIT_COMMITTER_EMAIL": "author@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ["PATH"],
}


class GitServer:
    """Repositories below one directory, and where they are served."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.url = url
        #: Answers requests of git-lfs, where a test has large files.
        self.large_files: Callable[[bytes], bytes] = lambda _: b"{}"

    def add(
        self,
        name: str,
        files: Mapping[str, str | bytes],
        *,
        branch: str = "main",
        links: Mapping[str, str] | None = None,
    ) -> str:
        """Commit ``files`` (and symbolic ``links``) to a branch of a repository and return its URL."""
        work = self.root / name
        if not work.exists():
            work.mkdir(parents=True)
            git(work, "init", "-q", "-b", branch)
        elif branch not in git(work, "branch", "--format=%(refname:short)").split():
            git(work, "checkout", "-q", "-b", branch)
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_bytes(
                text if isinstance(text, bytes) else text.encode()
            )
        for path, target in (links or {}).items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).symlink_to(target)
        if files or links:
            git(work, "add", "-A")
            git(work, "commit", "-q", "-m", "A commit")
        return f"{self.url}/{name}/.git"


def git(work: Path, *arguments: str) -> str:
    """Run git in ``work`` and return what it printed."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=work,
        env=_IDENTITY,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


class _Handler(BaseHTTPRequestHandler):
    """Answers git's requests; some paths are no repositories."""

    served: GitServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _answer(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        if path.endswith("/info/lfs/objects/batch"):
            kind = {"Content-Type": "application/vnd.git-lfs+json"}
            self._send(200, kind, self.served.large_files(body))
        elif path.startswith("/private/"):
            self._send(401, {"WWW-Authenticate": "Basic"}, b"")
        elif path.startswith("/web/"):
            self._send(200, {}, b"<html>a page, and no repository</html>")
        else:
            self._let_git_answer(path, query, body)

    def _let_git_answer(self, path: str, query: str, body: bytes) -> None:
        backend = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            check=True,
            env=_IDENTITY
            | {
                "GIT_PROJECT_ROOT": str(self.served.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            },
        ).stdout
        head, _, rest = backend.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self._send(int(headers.pop("Status", "200").split()[0]), headers, rest)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def git_server(root: Path) -> Iterator[GitServer]:
    """Serve the repositories below ``root`` on loopback."""

    class Handler(_Handler):
        """That of this server alone."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.served = served = GitServer(root, f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
