"""Repositories that try something: each is refused by its own name before it is built, and nothing of it runs."""

import asyncio
import base64
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from appliance.builds.checkout import Fetch, look
from appliance.builds.errors import BuildFailedError
from appliance.builds.git import access
from appliance.builds.limits import Limits
from appliance.builds.trees import write_private
from appliance.sources.credentials import Credential, CredentialKind
from appliance.sources.model import GitSource
from tests.fakes.git_http import GitServer
from tests.harness.hostile_git import MAX_BYTES, MAX_FILES, TRICKS, Trick, evil, tried

CA = Path("/etc/ssl/certs/ca-certificates.crt")
TOKEN = Credential(CredentialKind.TOKEN, SecretStr("canary-token"), "ada")


async def outcome(
    source: GitSource,
    place: Path,
    *,
    credential: Credential | None = None,
    timeout_s: float = 60,
) -> str:
    """Return the code that fetching a source comes to."""
    limits = Limits(MAX_BYTES, MAX_FILES, timeout_s)
    way = access(source, place / "access", credential)
    await asyncio.to_thread(place.mkdir)
    await asyncio.to_thread(write_private, way.home, way.files)
    try:
        revision = await Fetch(
            source, place / "checkout", way, CA, limits, lambda _: None, ""
        ).run()
        await asyncio.to_thread(look, source, place / "checkout", revision, limits)
    except BuildFailedError as error:
        return error.code
    return "fetched"


async def test_every_trick_comes_to_its_own_name(
    repositories: GitServer, tmp_path: Path
) -> None:
    gate = asyncio.Semaphore(3)

    async def one(trick: Trick) -> tuple[str, str]:
        async with gate:
            url = await asyncio.to_thread(tried, repositories, trick)
            source = GitSource(url, submodules=trick.has_submodules)
            return trick.name, await outcome(source, tmp_path / trick.name)

    found = dict(await asyncio.gather(*map(one, TRICKS)))

    assert found == {trick.name: trick.code for trick in TRICKS}
    assert evil() == []


@contextmanager
def answering(
    location: str = "", *, stall_s: float = 0
) -> Iterator[tuple[str, list[str]]]:
    """Yield the address of a server that redirects or stalls, and the credentials that it was shown."""
    shown: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            time.sleep(stall_s)
            if location:
                self.send_response(302)
                self.send_header("Location", location + self.path)
            else:
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", shown
    finally:
        server.shutdown()
        server.server_close()


async def test_a_token_goes_to_its_own_host_alone(tmp_path: Path) -> None:
    with answering() as (elsewhere, stolen), answering(elsewhere) as (url, _):
        straight = await outcome(
            GitSource(f"{elsewhere}/r.git"), tmp_path / "a", credential=TOKEN
        )
        sent = [item for item in stolen if item]
        stolen.clear()
        led_away = await outcome(
            GitSource(f"{url}/r.git"), tmp_path / "b", credential=TOKEN
        )

    assert straight == "repository_refused"
    assert sent == [f"Basic {base64.b64encode(b'ada:canary-token').decode()}"]
    assert led_away != "fetched"
    assert not any(stolen)


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with answering(stall_s=30) as (url, _):
        started = time.monotonic()
        found = await outcome(GitSource(f"{url}/r.git"), tmp_path / "a", timeout_s=2)

    assert found == "build_timeout"
    assert time.monotonic() - started < 15


@pytest.mark.parametrize(
    "branch",
    ["$(touch/tmp/evil)", "a;touch${IFS}/tmp/evil", "`touch`", "a|b", "a&b", "'\"<>", "{a,b}"],
)  # fmt: skip
async def test_a_branch_is_a_name_and_nothing_else(
    repositories: GitServer, tmp_path: Path, branch: str
) -> None:
    url = await asyncio.to_thread(repositories.add, "plain", {"a.txt": "x"})

    found = await outcome(GitSource(url, branch), tmp_path / "a")

    assert found == "branch_not_found"
    assert evil() == []
