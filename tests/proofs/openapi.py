"""Every route of the document, asked rightly and wrongly by three kinds of people: the answers are what the document says.

``schemathesis`` makes up the requests: every border of every schema, and examples by chance. Of each answer it checks that it
is no 5xx, that its status, content type and body are documented, that wrong requests are refused, and that nobody without a key
is let in. Streams without end are read for a moment (``tests.harness.openapi`` says how long, what is not checked, and why).
Then the document is made to lie, and each lie must be seen.

    python -m tests.proofs.openapi "PUT /api/me/password"    # of one route only, while it is mended
"""

import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from tests.fakes import mcp_stdio
from tests.harness.appliance import Appliance
from tests.harness.escapes import base_image, program_image
from tests.harness.openapi import Asked, Found, ask
from tests.proofs.claim import hold

#: Made-up requests of each route to each person, beside those that try the borders of its schemas.
EXAMPLES = {"maintainer": 3, "reader": 2, "admin": 3}
PASSWORD = "correct horse battery"
_SERVERS = 3
_SHOWN = 12_000

Document = dict[str, Any]
Lies = dict[tuple[str, str], Callable[[dict[str, Any]], None]]


def prove(only: str = "") -> None:
    """Ask as everybody, then let the document lie.

    Args:
        only: The one operation to ask, such as ``GET /api/me``; nothing is lied about then.
    """
    began = time.monotonic()
    with (
        _appliance() as (appliance, people, local),
        tempfile.TemporaryDirectory(prefix="openapi-") as scratch,
    ):
        document = httpx.get(f"{appliance.url}/openapi.json").json()
        kept = _kept(appliance)
        alive = {
            "server": [f"clock-{number}" for number in range(_SERVERS)],
            "org": ["ours"],
        }
        results = {}
        for name, key in people.items():
            # The borders of a schema are everybody's: the one who may do most tries them.
            is_thorough = name == "admin"
            asked = Asked(appliance.url, key, local, kept, alive, is_thorough)
            found = ask(
                asked, document, Path(scratch), examples=EXAMPLES[name], only=only
            )
            results[name] = found
            _tell(name, found)
            hold(_still_works(asked), f"{name}: the key works to the end")
        liar = Asked(appliance.url, people["admin"])
        lies = {} if only else LIES
        unseen = _unseen(liar, lies, document, Path(scratch))
    total = 1 if only else sum(len(methods) for methods in document["paths"].values())
    failures = [line for found in results.values() for line in found.failures]
    good = set().union(*(found.good() for found in results.values()))
    cases = sum(found.cases for found in results.values())
    everything = all(found.operations == total for found in results.values())
    hold(
        everything and not failures and not unseen,
        f"{total} routes, {cases} requests of {len(results)} people, {len(good)} routes did what they are for,"
        f" {len(failures)} answers not as documented; {len(lies) - len(unseen)} of {len(lies)} lies seen"
        f" {''.join(unseen)}({time.monotonic() - began:.0f} s)",
    )


@contextmanager
def _appliance() -> Iterator[tuple[Appliance, dict[str, str], dict[str, str]]]:
    """An appliance with an organisation, people and servers; yields their keys and what stands in for strangers' sources."""
    with (
        Appliance.temporary(
            gw_workers=1,
            remote_allow_private=True,
            account_writes_per_minute=0,
            anonymous_requests_per_minute=0,
            build_concurrency=1,
            build_network="none",
        ) as appliance,
        program_image(Path(mcp_stdio.__file__), base_image(appliance)) as image,
    ):
        appliance.api("POST", "/api/orgs", {"name": "ours"})
        keys = {
            "maintainer": _person(appliance, "maintainer@example.org", "member"),
            "reader": _person(appliance, "reader@example.org", "reader"),
            "admin": appliance.api_key,
        }
        member = {"email": "maintainer@example.org", "role": "maintainer"}
        appliance.api("POST", "/api/orgs/ours/members", member)
        for number in range(_SERVERS):
            created = appliance.create(f"clock-{number}", image=image, org="ours")
            appliance.wait_running(created)
            appliance.raw("GET", f"/api/servers/{created.id}/tools")
        nowhere = "http://127.0.0.1:1"
        yield (
            appliance,
            keys,
            {
                "image": image,
                "package": "pypi:mcp-server-time",
                "repo_url": f"{nowhere}/x.git",
                "remote_url": f"{nowhere}/mcp",
                "server_json_url": f"{nowhere}/x",
                "dockerfile": "FROM scratch\n",
            },
        )


def _person(appliance: Appliance, email: str, role: str) -> str:
    """Add somebody, and return a key of theirs."""
    signed_up = {"email": email, "password": PASSWORD, "role": role}
    appliance.api("POST", "/api/users", signed_up)
    # Somebody to whom things may be done.
    appliance.api("POST", "/api/users", signed_up | {"email": f"x-{email}"})
    with httpx.Client(base_url=appliance.url) as client:
        body = {"email": email, "password": PASSWORD}
        token = client.post("/api/login", json=body).json()["csrf_token"]
        made = client.post(
            "/api/keys", json={"name": "run"}, headers={"X-CSRF-Token": token}
        )
        made.raise_for_status()
        return str(made.json()["key"])


def _kept(appliance: Appliance) -> dict[str, list[object]]:
    """Return what nobody may write to: those who ask, and their keys."""
    people = appliance.query("SELECT id FROM users WHERE email NOT LIKE 'x-%%'")
    keys = appliance.query("SELECT id FROM api_keys")
    return {
        "user_id": [row[0] for row in people],
        "key_id": [row[0] for row in keys],
    }


def _still_works(asked: Asked) -> bool:
    headers = {"Authorization": f"Bearer {asked.key}"}
    return httpx.get(f"{asked.url}/api/me", headers=headers).status_code == 200


def _tell(name: str, found: Found) -> None:
    counts = f"{found.cases} requests, {len(found.good())} routes good, {len(found.failures)} failures"
    print(f"{name}: {found.operations} routes, {counts}", flush=True)
    if found.failures:
        print(found.told[-_SHOWN:])


# -- lies


def _unseen(asked: Asked, lies: Lies, document: Document, scratch: Path) -> list[str]:
    """Return the lies about the hub that nobody noticed."""
    unseen = []
    for (title, operation), lie in lies.items():
        lying = copy.deepcopy(document)
        method, _, path = operation.partition(" ")
        lie(lying["paths"][path][method.lower()])
        found = ask(asked, lying, scratch, examples=1, only=operation)
        if not any(line.startswith(title) for line in found.failures):
            unseen.append(f"not seen: {title}: {operation} {found.failures}; ")
    return unseen


def _more_is_in_it(operation: dict[str, Any]) -> None:
    schema = {"type": "object", "required": ["not-there"]}
    operation["responses"]["200"]["content"]["application/json"]["schema"] = schema


def _never_missing(operation: dict[str, Any]) -> None:
    del operation["responses"]["404"]


def _is_text(operation: dict[str, Any]) -> None:
    content = operation["responses"]["200"]["content"]
    content["text/plain"] = content.pop("application/json")


def _takes_little(operation: dict[str, Any]) -> None:
    names = {"type": "string", "maxLength": 2}
    schema = {"type": "object", "properties": {"name": names}, "required": ["name"]}
    operation["requestBody"]["content"]["application/json"]["schema"] = schema


def _is_closed(operation: dict[str, Any]) -> None:
    operation["security"] = [{"apiKey": []}]


#: What schemathesis calls it, and the operation that is lied about, to the lie.
LIES: Final[Lies] = {
    ("Response violates schema", "GET /api/me"): _more_is_in_it,
    ("Undocumented status code", "GET /api/servers/{server}/lock"): _never_missing,
    ("Undocumented Content-Type", "GET /api/sessions"): _is_text,
    ("Schema-violating request accepted", "POST /api/orgs"): _takes_little,
    ("API accepts requests without", "GET /openapi.json"): _is_closed,
}

if __name__ == "__main__":
    prove(*sys.argv[1:])
