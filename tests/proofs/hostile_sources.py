"""Sources that try something, against the engine of this box: archives, repositories, Dockerfiles, shell letters everywhere.

Every trick must come to its own named failure, or be built without having got anything. Canaries lie where they should not be
found: in files of the host beside the hub's directories, in its settings and environment, in another tenant's image and
cache mount, in the token of a private repository. Afterwards they are looked for in every image that was made, byte by byte, in
the logs, and in every row of the database.
"""

import asyncio
import io
import os
import secrets
import subprocess
import tarfile
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from appliance.builds.errors import BuildFailedError
from appliance.builds.service import BuildService
from appliance.core.errors import DomainError, InvalidError
from appliance.infra.database import Database
from appliance.infra.docker import Engine
from appliance.observability import logs
from appliance.servers.config import check_config, check_name
from appliance.servers.model import ServerConfig
from appliance.settings import Settings, load_settings
from appliance.sources.credentials import checked_credential
from appliance.sources.keeper import SourceKeeper
from appliance.sources.model import ArchiveSource, Source
from appliance.sources.spec import parse_source
from tests.cluster import throw_away_cluster
from tests.engine import Box
from tests.fakes.git_http import GitServer, git_server
from tests.fakes.mcp_box import Box as Migrated
from tests.fakes.tiny import tiny
from tests.functional.builds.conftest import add_deployment
from tests.harness import hostile_archives, hostile_dockerfiles, hostile_git
from tests.proofs.claim import hold
from tests.proofs.needs import need_programs

VICTIM, ATTACKER = 1, 2
BUILD_TIMEOUT_S = 40
ROOT_CANARY = Path("/canary-of-the-host")
#: A log of a build that prints without end, in Postgres.
MAX_LOG_BYTES = 6 * 1024**2
#: What shells, option parsers and templates could take for more than a letter.
LETTERS = (
    "$(touch /tmp/evil)", "`touch /tmp/evil`", ";touch /tmp/evil;", "|touch /tmp/evil", "&& touch /tmp/evil",
    "${IFS}touch${IFS}/tmp/evil", "--upload-pack=touch /tmp/evil", "-oProxyCommand=touch /tmp/evil", "a\nRUN touch /tmp/evil",
    "'\"><script>", "{{7*7}}", "%0aRUN", "../../../../tmp/evil", "ext::sh -c touch% /tmp/evil", "x' OR '1'='1",
)  # fmt: skip
FIELDS: tuple[dict[str, str], ...] = (
    {"package": "npm:%s"}, {"package": "pypi:%s"}, {"package": "npm:x@%s"}, {"package": "pypi:x==%s"},
    {"repo_url": "%s"}, {"repo_url": "GIT/%s"}, {"repo_url": "git@%s:o/r"}, {"repo_url": "ssh://%s/r"},
    {"repo_url": "GIT/plain/.git", "branch": "%s"}, {"repo_url": "GIT/plain/.git", "subdirectory": "%s"},
    {"archive": "%s"}, {"archive": "ARCHIVE", "archive_name": "%s"}, {"archive": "ARCHIVE", "subdirectory": "%s"},
    {"image": "%s"}, {"image": "x:%s"}, {"remote_url": "%s"}, {"remote_url": "https://%s/mcp"},
)  # fmt: skip


@dataclass
class World:
    """One installation, its canaries, and what it came to."""

    database: Database
    engine: Engine
    box: Box
    place: Path
    canaries: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    codes: Counter[str] = field(default_factory=Counter)
    images: list[str] = field(default_factory=list)
    hits: list[str] = field(default_factory=list)

    def canary(self, name: str) -> str:
        """Return a word that must not be found."""
        return self.canaries.setdefault(name, f"canary-{name}-{secrets.token_hex(12)}")

    def services(self) -> tuple[BuildService, BuildService]:
        """Return builders with and without network for the steps of builds."""
        off = self.box.settings.model_copy(update={"build_network": "none"})
        return tuple(
            BuildService(self.database, self.engine, chosen, owner=self.box.owner)
            for chosen in (self.box.settings, off)
        )  # type: ignore[return-value]  # two of them

    def told(self, name: str, expected: str, found: str) -> None:
        """Note what a trick came to."""
        self.codes[found] += 1
        if found != expected:
            self.wrong.append(f"{name}: {found}, not {expected}")


def prove() -> None:
    """Run the whole corpus and look for canaries."""
    need_programs("docker", "git", "prlimit")
    logs.configure("error", "console")
    os.environ["CANARY_OF_THE_HUB"] = environment = (
        f"canary-env-{secrets.token_hex(12)}"
    )
    with (
        tempfile.TemporaryDirectory(prefix="hostile-", dir="/var/tmp") as home,
        throw_away_cluster() as cluster,
        git_server(Path(home) / "git") as repositories,
    ):
        place = Path(home)
        Migrated(cluster.url(), place / "run").migrate()
        database = Database(cluster.url(), size=4)
        settings = _settings(place)
        box = Box(secrets.token_hex(6), settings)
        try:
            world = World(database, Engine(), box, place)
            world.canaries["environment"] = environment
            world.canaries["jwt-secret"] = settings.jwt_secret.get_secret_value()
            asyncio.run(_all(world, repositories))
            found = _found(world)
        finally:
            database.close()
            box.clear()
    _tell(world, found)


def _settings(place: Path) -> Settings:
    return load_settings(
        jwt_secret=f"canary-{secrets.token_hex(32)}",
        data_dir=place / "data",
        build_timeout=BUILD_TIMEOUT_S,
        source_max_mib=hostile_archives.MAX_BYTES // 1024**2,
        source_max_files=hostile_archives.MAX_FILES,
    )


def _tell(world: World, found: list[str]) -> None:
    for code, count in sorted(world.codes.items()):
        print(f"{count:>4} {code}")
    for line in (*world.wrong[:20], *found[:20]):
        print(line)
    evil, tricks = hostile_git.evil(), sum(world.codes.values())
    hold(
        not world.wrong,
        f"{tricks} tricks, of which came to another end than theirs: {len(world.wrong)}",
    )
    hold(
        not evil and set(world.hits) == {"/on"},
        f"programs of tricks that ran: {len(evil)}; calls out of builds: {sorted(set(world.hits))}, /off is without network",
    )
    hold(
        not found,
        f"canaries in {len(world.images)} images, in logs, events and all tables: {len(found)} of {len(world.canaries)}",
    )


def _lay(world: World) -> None:
    """Lay canaries where a build should not come to."""
    for name, where in (("host", world.place), ("data", world.box.settings.data_dir)):
        where.mkdir(parents=True, exist_ok=True)
        (where / "canary").write_text(world.canary(name))
    ROOT_CANARY.write_text(world.canary("root"))


async def _all(world: World, repositories: GitServer) -> None:
    keeper = SourceKeeper(world.database, world.box.settings)
    await world.database.run(add_deployment, world.database, "first")
    try:
        await asyncio.to_thread(_lay, world)
        victim = await _victim(world, keeper)
        await _archives(world, keeper)
        await _repositories(world, repositories)
        await _letters(world, repositories, keeper)
        await _dockerfiles(world, keeper, victim)
        await _private(world, keeper, repositories)
    finally:
        await asyncio.to_thread(ROOT_CANARY.unlink, missing_ok=True)
        await world.engine.close()


async def _build(
    world: World, source: Source, who: int, service: BuildService | None = None
) -> str:
    """Return the code that a build comes to, or ``built``."""
    request = await world.database.run(
        add_deployment, world.database, f"server-{secrets.token_hex(4)}"
    )
    request = replace(request, source=source, owner_id=who)

    async def on_stage(_: object) -> None:
        pass

    try:
        built = await (service or world.services()[0]).build(request, on_stage)
    except DomainError as error:
        return error.code
    if built.image and who == ATTACKER:
        world.images.append(built.image)
    return "built"


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _brought(keeper: SourceKeeper, content: bytes, name: str) -> ArchiveSource:
    return (await keeper.uploads.receive(1, name, _pieces(content))).source


def _packed(
    files: dict[str, str | bytes], links: dict[str, str] | None = None
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            body = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return buffer.getvalue()


async def _victim(world: World, keeper: SourceKeeper) -> str:
    """Build another tenant's image, with a canary in it and one in its cache mount, and return its name."""
    cache = f"RUN --mount=type=cache,id=shared,target=/m echo {world.canary('cache')} > /m/canary"
    files = tiny("COPY canary /canary", cache) | {"canary": world.canary("image")}
    source = await _brought(keeper, _packed(files), "victim.tar.gz")
    code = await _build(world, source, VICTIM)
    if code != "built":
        world.wrong.append(f"the victim: {code}")
    # Its own Dockerfile and log show its own canary; what is searched later is everybody else's.
    await world.database.run(world.database.peewee.execute_sql, "DELETE FROM builds")
    (tag,) = world.box.images()
    return tag


async def _archives(world: World, keeper: SourceKeeper) -> None:
    for trick in hostile_archives.TRICKS:
        source = await _brought(keeper, trick.make(), f"{trick.name}.tar.gz")
        world.told(f"archive {trick.name}", trick.code, await _build(world, source, ATTACKER))  # fmt: skip


async def _repositories(world: World, repositories: GitServer) -> None:
    for trick in hostile_git.TRICKS:
        url = await asyncio.to_thread(hostile_git.tried, repositories, trick)
        source = parse_source({"repo_url": url, "submodules": trick.has_submodules})
        # What is only fetched has nothing to build; the box's bound for one file is higher here than in the tests.
        expected = "project_not_recognised" if trick.code == "fetched" else trick.code
        found = await _build(world, source, ATTACKER)
        if trick.name == "one-large-file":
            expected = "project_not_recognised"
        world.told(f"git {trick.name}", expected, found)


async def _letters(world: World, repositories: GitServer, keeper: SourceKeeper) -> None:
    """Put every letter into every field; what is not refused at once is built, and must come to nothing."""
    await asyncio.to_thread(repositories.add, "plain", {"a.txt": "x"})
    archive = (await _brought(keeper, _packed({"a.txt": "x"}), "plain.tgz")).digest
    for letters in LETTERS:
        for given in FIELDS:
            words = {
                name: text.replace("GIT", repositories.url)
                .replace("ARCHIVE", archive)
                .replace("%s", letters)
                for name, text in given.items()
            }
            try:
                source = parse_source(words)
            except InvalidError as error:
                world.codes[error.code] += 1
                continue
            if words.get("image") or words.get("remote_url") or words.get("package"):
                # Asked of networks that a proof has no business with; what they get is a value in a request.
                world.codes["taken as a value"] += 1
                continue
            found = await _build(world, source, ATTACKER)
            world.codes[found] += 1
            if found == "built":
                world.wrong.append(f"built: {words}")
        _server_fields(world, letters)


def _server_fields(world: World, letters: str) -> None:
    for check in (
        lambda: check_name(letters),
        lambda: check_config(ServerConfig(path=letters)),
        lambda: check_config(ServerConfig(environment={letters: "x"})),
    ):
        try:
            check()
        except InvalidError as error:
            world.codes[error.code] += 1
        else:
            world.wrong.append(
                f"{letters!r} was taken for a name, a path or a variable"
            )


async def _dockerfiles(world: World, keeper: SourceKeeper, victim: str) -> None:
    with _listener(world) as port:
        with_network, without = world.services()
        for trick in hostile_dockerfiles.TRICKS:
            files = tiny(*(_named(step, victim, port) for step in trick.steps))
            files["Dockerfile"] = _named(trick.head, victim, port) + str(files["Dockerfile"])  # fmt: skip
            packed = _packed(files, trick.links)
            source = await _brought(keeper, packed, f"{trick.name}.tgz")
            service = with_network if trick.has_network else without
            found = await _build(world, source, ATTACKER, service)
            world.told(f"dockerfile {trick.name}", trick.code, found)


def _named(text: str, victim: str, port: int) -> str:
    # A step that an earlier run left in the engine's cache would prove nothing.
    fresh = f": {secrets.token_hex(8)}; exit 0"
    return (
        text.replace("exit 0", fresh)
        .replace("VICTIM", victim)
        .replace("HOST", _address())
        .replace("PORT", str(port))
    )


def _address() -> str:
    """Return how containers reach this box: a young engine tells the network of its bridge, and not yet its address there."""
    done = subprocess.run(
        ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return str(ip_network(done.stdout.strip())[1])


@contextmanager
def _listener(world: World) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            world.hits.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(world.canary("network").encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((_address(), 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


async def _private(world: World, keeper: SourceKeeper, repositories: GitServer) -> None:
    """Fetch with a token: from a host that refuses it, and from one that takes it and prints its environment."""
    for path, expected in (
        ("private/r", "repository_refused"),
        ("printing/.git", "built"),
    ):
        if expected == "built":
            steps = (
                "COPY . /all",
                "RUN env; find /all -type f | head -100; cat /all/.git/config",
            )
            await asyncio.to_thread(repositories.add, "printing", tiny(*steps))
        source = parse_source({"repo_url": f"{repositories.url}/{path}"})
        credential = checked_credential(source, token=SecretStr(world.canary("token")))
        request = await world.database.run(
            add_deployment, world.database, f"private-{expected.replace('_', '-')}"
        )
        request = replace(request, source=source, owner_id=ATTACKER)
        if credential:
            await world.database.run(keeper.put, request.server_id, credential)

        async def on_stage(_: object) -> None:
            pass

        found = "built"
        try:
            built = await world.services()[0].build(request, on_stage)
            world.images.append(built.image)
        except BuildFailedError as error:
            found = error.code
        world.told(f"private {path}", expected, found)


def _found(world: World) -> list[str]:
    """Return where canaries were found."""
    words = {name: word.encode() for name, word in world.canaries.items()}
    found: list[str] = []
    for image in dict.fromkeys(world.images):
        saved = subprocess.run(["docker", "save", image], capture_output=True, check=True).stdout  # fmt: skip
        found += [
            f"{name} in an image" for name, word in words.items() if word in saved
        ]
    for table, text in _tables(world.database):
        found += [f"{name} in {table}" for name, word in words.items() if word.decode() in text]  # fmt: skip
        if table == "build_log_lines" and len(text) > 4 * MAX_LOG_BYTES:
            world.wrong.append(f"the logs take {len(text)} bytes")
    return found


def _tables(database: Database) -> Iterator[tuple[str, str]]:
    def read(sql: str) -> list[tuple[Any, ...]]:
        return list(database.peewee.execute_sql(sql).fetchall())

    names = database.run_blocking(
        read, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    )
    for (name,) in names:
        rows = database.run_blocking(read, f'SELECT t::text FROM "{name}" t')  # noqa: S608 - names of our own tables
        yield name, "\n".join(str(row) for row in rows)
