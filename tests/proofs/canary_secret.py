"""A known value that was given as a secret is found nowhere afterwards, though its server prints it wherever it can.

Four servers get values that are known here alone. One uses them and tells nobody; one has a container for each session; one
is built from a package; one prints them on its standard error, between the lines of its protocol, in its answers, and when it
crashes. A value is replaced, the master key is rotated, and then every place that we know is looked through.

Not looked at: what the last one says to its own clients, which is theirs to hear; the engine's own log of its container,
which the engine writes and nobody else; and the environment of its process, which root of the box can read.
"""

import hashlib
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.harness.appliance import Appliance, Created
from tests.harness.canary import Canaries
from tests.proofs.claim import ClaimBrokenError, hold

SOURCE = Path(__file__).parent.parent / "fakes" / "mcp_secretive.py"
CHATTY = "chatty"
#: Where it shows that the chatty one told, and was not heard.
TOLD = ("/logs/history", "API", "pages", "status, crash output", "database dump")
TABS = [
    "tools",
    "manifest",
    "build",
    "logs",
    "invocations",
    "connect",
    "deployments",
    "webhook",
    "secrets",
    "isolation",
    "health",
    "metrics",
    "config",
]
#: Files are large or none of ours, and names that are neither a server's nor a secret's mean something else.
_NOT_ASKED = re.compile(r"/files|/lock$|/download$|\{(?!server\}|name\}|item\})")


def prove() -> None:
    """Give, use, tell, replace, rotate, and look everywhere."""
    words = [secrets.token_hex(15) for _ in range(4)]
    first, second = (f'cnry "{word}"/+ä' for word in words[:2])
    cert = "\n".join(("-----BEGIN KEY-----", *words[2:], "-----END KEY-----", ""))
    canaries = Canaries(words)
    with Appliance.temporary(gw_workers=2) as appliance:
        image = appliance.warm_up()
        client = appliance._client
        with ExitStack() as watching:
            watching.enter_context(canaries.processes("process list"))
            watching.enter_context(canaries.stream("events", client, "/api/events"))
            given = {"API_KEY": first, "CERT": cert}
            source = ["python3", "-c", SOURCE.read_text()]
            ours = {"image": image, "arguments": source, "secrets": given}
            servers = [
                appliance.create("quiet", **ours),
                appliance.create("apart", session_mode="per-session", **ours),
                appliance.create(CHATTY, **ours),
                appliance.create(
                    "package", package="pypi:mcp-server-time", secrets=given
                ),
            ]
            watching.enter_context(
                canaries.stream(
                    "log stream", client, f"/api/servers/{CHATTY}/logs/stream"
                )
            )
            for server in servers:
                appliance.wait_running(server)
            arrived(servers[:2], first, cert)
            tell(appliance, servers[2])
            replace(appliance, servers, second)
            arrived(servers[:2], second, cert)
            tell(appliance, servers[2])
            print("master key:", appliance.command("secrets", "rotate-master").strip())
            settle(appliance)
            told = answers(appliance, servers)
            everywhere(canaries, appliance, servers, told)
    tell_verdict(canaries)


def tell_verdict(canaries: Canaries) -> None:
    """Say what was looked through and what was found there."""
    for place, size in sorted(canaries.looked.items()):
        print(
            f"{place:<28} {size / 1000:10.0f} kB, {canaries.hidden[place]:>5} times [redacted]"
        )
    for where, count in canaries.found.most_common(20):
        print(f"FOUND {count:>3} x {where}")
    silent = [place for place in TOLD if not canaries.hidden[place]]
    if silent:
        raise ClaimBrokenError(f"nothing was told, so nothing is shown: {silent}")
    hold(
        not canaries.found and len(canaries.looked) >= 14,
        f"3 values in 4 servers, {len(canaries.looked)} kinds of places, {sum(canaries.looked.values()) / 1e6:.0f} MB: "
        f"found {sum(canaries.found.values())} times",
    )


# -- what happens


def call(server: Created, tool: str) -> str:
    """Call a tool as a client does; empty: there was no answer."""
    headers = {
        "Authorization": f"Bearer {server.key}",
        "Accept": "application/json, text/event-stream",
    }
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "p", "version": "1"}}  # fmt: skip
    with httpx.Client(headers=headers, timeout=30) as client:

        def ask(number: int, method: str, params: Any) -> httpx.Response:
            body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            return client.post(server.endpoint, json=body)

        opened = ask(1, "initialize", hello)
        if "Mcp-Session-Id" in opened.headers:
            client.headers["Mcp-Session-Id"] = opened.headers["Mcp-Session-Id"]
        answer = ask(2, "tools/call", {"name": tool, "arguments": {}}).text
    found = re.search(r'"text": ?"([^"]*)', answer)
    return found[1] if found else ""


def arrived(servers: list[Created], *values: str) -> None:
    """Hold that every byte reached the servers, as variable and as files."""
    key, cert = (hashlib.sha256(value.encode()).hexdigest() for value in values)
    for server in servers:
        found = call(server, "use")
        if found != f"{key} {key} {cert}":
            raise ClaimBrokenError(f"{server.name} did not get its secrets: {found!r}")
    print(f"every byte reached {', '.join(item.name for item in servers)}")


def tell(appliance: Appliance, server: Created) -> None:
    """Have a server tell its secrets in every way, and crash of it, twice."""
    for tool in ("tell", "tell_errors", "babble"):
        call(server, tool)
        appliance.raw("POST", f"/api/servers/{server.id}/invoke", {"tool": tool})
    for _ in range(2):
        call(server, "crash")
        time.sleep(1)
        appliance.wait_status(server, {"running", "starting"})
    appliance.wait_running(server)


def replace(appliance: Appliance, servers: list[Created], value: str) -> None:
    """Set another value, and hold that nothing was built for it."""
    count = "SELECT count(*) FROM builds"
    before = appliance.query(count)
    for server in servers:
        appliance.api(
            "PUT", f"/api/servers/{server.id}/secrets/API_KEY", {"value": value}
        )
    for server in servers:
        appliance.wait_running(server)
    deadline = time.monotonic() + 60
    while any(_pending(appliance, server) for server in servers):
        if time.monotonic() > deadline:
            raise ClaimBrokenError("a new value was not taken within a minute")
        time.sleep(0.2)
    if appliance.query(count) != before:
        raise ClaimBrokenError("a new value led to a build")
    print("another value without a build")


def _pending(appliance: Appliance, server: Created) -> bool:
    sql = "SELECT count(*) FROM deployments WHERE server_id = %s AND state = 'pending'"
    return bool(appliance.query(sql, server.id)[0][0])


def settle(appliance: Appliance) -> None:
    """Wait until traces are copied and the master key is rotated."""
    deadline = time.monotonic() + 30
    spool = Path(appliance.environment["RUN_DIR"]) / "traces"
    while time.monotonic() < deadline:
        state = appliance.api("GET", "/api/secrets/master-key")
        if not state["waiting"] and not list(spool.glob("*.spool")):
            return
        time.sleep(0.3)
    raise ClaimBrokenError("traces or the rotation of the master key took too long")


# -- where is looked


def answers(appliance: Appliance, servers: list[Created]) -> Iterator[tuple[str, bytes]]:  # fmt: skip
    """Yield what every reading operation of the API answers, and every tab of the servers' pages."""
    paths = appliance.api("GET", "/openapi.json")["paths"]
    for path in (path for path, item in paths.items() if "get" in item):
        # A stream would not end.
        if _NOT_ASKED.search(path) or "event-stream" in str(paths[path]["get"]):
            continue
        for server in servers[1:3] if "{" in path else servers[:1]:
            asked = path.replace("{server}", server.name)
            asked = re.sub(r"\{\w+\}", "API_KEY", asked)
            yield f"GET {asked}", appliance.raw("GET", asked).content
    for row in appliance.query("SELECT id FROM invocations ORDER BY id DESC LIMIT 200"):
        path = f"/api/invocations/{row[0]}"
        yield f"GET {path}", appliance.raw("GET", path).content
    browser = httpx.Client(base_url=appliance.url, follow_redirects=True)
    browser.post("/api/login", json={"email": appliance.email, "password": appliance.password})  # fmt: skip
    for server in servers:
        for tab in ("", *TABS):
            path = f"/servers/{server.name}/{tab}".rstrip("/")
            yield f"page {path}", browser.get(path).content
    for path in ("/activity/audit", "/activity/jobs", "/activity/invocations", "/health"):  # fmt: skip
        yield f"page {path}", browser.get(path).content


def everywhere(
    canaries: Canaries,
    appliance: Appliance,
    servers: list[Created],
    told: Iterator[tuple[str, bytes]],
) -> None:
    """Look through every place but those watched meanwhile."""
    for where, answer in told:
        kind = "pages" if where.startswith("page") else "API"
        canaries.look(kind, answer, where)
    for server in servers:
        for tail in ("logs", "logs/history", "logs/download"):
            found = appliance.raw("GET", f"/api/servers/{server.id}/{tail}").content
            canaries.look(f"/{tail}", found, server.name)
        reasons = appliance.query(
            "SELECT status_reason FROM servers UNION ALL SELECT reason FROM deployments"
            " UNION ALL SELECT reason FROM status_changes"
        )
        canaries.look("status, crash output", repr(reasons).encode(), server.name)
        for container in appliance.containers(server.id):
            canaries.command("docker inspect", "docker", "inspect", container)
            canaries.command("docker top", "docker", "top", container)
            canaries.command("docker diff", "docker", "diff", container)
            if server.name != CHATTY:
                canaries.command("docker logs", "docker", "logs", container)
    for image in _images(appliance):
        canaries.command("docker history", "docker", "history", "--no-trunc", image)
        canaries.command("image inspect", "docker", "image", "inspect", image)
    (built,) = appliance.query(
        "SELECT image FROM deployments WHERE server_id = %s AND image <> '' ORDER BY id LIMIT 1", servers[-1].id
    )  # fmt: skip
    canaries.command("image layers", "docker", "save", built[0])
    audit = appliance.raw("GET", "/api/audit?limit=200").content
    canaries.look("audit", audit)
    url = appliance.command("database-url").strip()
    canaries.database("database dump", url)
    # All of it: Postgres's files, the key file, logs of all processes, what servers printed, uploads, sockets' directory.
    canaries.files("data directory, process logs", appliance.home)


def _images(appliance: Appliance) -> list[str]:
    rows = appliance.query("SELECT DISTINCT image FROM deployments WHERE image <> ''")
    return [image for (image,) in rows]
