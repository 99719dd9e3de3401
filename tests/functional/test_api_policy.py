"""/api/policy over real HTTP: documents, what they would change, explanations, decisions and who sees them."""

from typing import Any

from aiohttp.test_utils import TestClient

from appliance.policy.model import Purpose
from appliance.servers import store
from appliance.servers.gate import Gate
from appliance.servers.model import DeploymentState
from tests.fakes.executor import IdleExecutor
from tests.fakes.runs import digest, finished
from tests.functional.hub import Hub

Client = TestClient[Any, Any]
SMOKE = """\
version: 1
rules:
  - kind: require-certification
    tiers: ["gold:*"]
    requirements: [smoke]
"""


async def ask(
    client: Client, method: str, path: str, expect: int = 200, /, **body: Any
) -> Any:
    response = await client.request(
        method, path, json=body or ({} if method == "POST" else None)
    )
    assert response.status == expect, await response.text()
    return await response.json() if response.status != 204 else None


async def host(hub: Hub, client: Client, name: str = "clock") -> int:
    """Host a server whose first deployment was built."""
    told = await ask(
        client, "POST", "/api/servers", 201, name=name, package="pypi:mcp-server-time"
    )
    server_id = int(told["server"]["id"])

    def build() -> int:
        deployment = store.deployment_in(server_id, DeploymentState.PENDING)
        assert deployment is not None
        store.set_built(deployment.id, image=f"mcp-host/{name}:1", resolved={})
        run = finished(
            deployment.id,
            build_id=7000 + server_id,
            server_id=server_id,
            deployment_id=deployment.id,
        )
        hub.services.ledger.record(run)
        return server_id

    return await hub.database.run(build)


async def decide(hub: Hub, server_id: int) -> None:
    """Do what the reconciler does before a launch."""
    server = await hub.database.run(store.get, server_id)
    deployment = await hub.database.run(
        store.deployment_in, server_id, DeploymentState.PENDING
    )
    assert deployment is not None
    await Gate(hub.database, [IdleExecutor()]).rule(server, deployment, Purpose.SERVE)


async def test_newcomers_server_is_held_by_nothing_and_its_decision_is_kept(
    hub: Hub, maintainer: Client
) -> None:
    server_id = await host(hub, maintainer)

    await decide(hub, server_id)

    assert (await ask(maintainer, "GET", "/api/policy"))["active"] is None
    assert (await ask(maintainer, "GET", "/api/servers/clock"))["hold"] is None
    (made,) = (await ask(maintainer, "GET", "/api/policy/decisions?server=clock"))[
        "items"
    ]
    assert (made["verdict"], made["purpose"], made["document_version"]) == (
        "launch",
        "serve",
        None,
    )
    whole = await ask(maintainer, "GET", f"/api/policy/decisions/{made['id']}")
    assert whole["is_reproduced"]


async def test_what_a_policy_holds_is_told_with_the_step_that_lifts_it(
    hub: Hub, admin: Client, maintainer: Client
) -> None:
    server_id = await host(hub, maintainer)
    run = (await ask(maintainer, "GET", "/api/marketplace"))["items"][0]
    would = await ask(admin, "POST", "/api/policy/dry-run", text=SMOKE)
    await ask(admin, "POST", "/api/policy/documents", 201, text=SMOKE, activate=True)
    await decide(hub, server_id)
    await decide(hub, server_id)

    hold = (await ask(maintainer, "GET", "/api/servers/clock"))["hold"]
    told = await ask(maintainer, "POST", "/api/policy/explain", server="clock")
    listed = (await ask(maintainer, "GET", "/api/policy/decisions"))["items"]
    await ask(
        maintainer,
        "POST",
        f"/api/artifacts/{run['id']}/evaluations",
        policy_requirement="smoke",
        status="pass",
    )
    after = await ask(maintainer, "POST", "/api/policy/explain", server="clock")

    assert [(item["server"], item["after"]["verdict"]) for item in would["items"]] == [
        ("clock", "hold-evaluation")
    ]
    assert hold["verdict"] == told["verdict"] == "hold-evaluation"
    assert "evaluation:missing:gold:pypi:smoke" in hold["notes"]
    assert f"artifact {run['id']}" in hold["actions"][0]
    assert told["facts"]["digest"] == run["manifest_digest"]
    assert len(listed) == 1, "a hold that nothing changed is one decision"
    assert after["verdict"] == "launch"


async def test_explanation_takes_what_is_to_be_otherwise(
    hub: Hub, maintainer: Client
) -> None:
    await host(hub, maintainer)

    gpu = await ask(
        maintainer, "POST", "/api/policy/explain", server="clock", use_gpu=True
    )
    catalog = await ask(maintainer, "POST", "/api/policy/explain", server_type="github")
    other = await ask(
        maintainer,
        "POST",
        "/api/policy/explain",
        server="clock",
        text=SMOKE,
        digest=digest(4),
    )

    assert (gpu["verdict"], gpu["capabilities_satisfied"]) == ("refuse", False)
    assert "capability:missing:gpu:idle" in gpu["notes"]
    assert (catalog["build_required"], catalog["image"]) == (
        False,
        "ghcr.io/github/github-mcp-server:latest",
    )
    assert other["manifest_digest"] == digest(4)


async def test_versions_are_compared_made_active_and_taken_back(admin: Client) -> None:
    first = await ask(
        admin, "POST", "/api/policy/documents", 201, text=SMOKE, note="Begin."
    )
    again = await ask(admin, "POST", "/api/policy/documents", 201, text=SMOKE)
    second = await ask(
        admin,
        "POST",
        "/api/policy/documents",
        201,
        document={"version": 1, "rules": []},
    )
    active = await ask(admin, "POST", "/api/policy/documents/1/activate", expected=0)
    late = await ask(admin, "POST", "/api/policy/documents/2/activate", 409, expected=2)
    diff = await ask(admin, "GET", "/api/policy/diff")
    await ask(admin, "POST", "/api/policy/deactivate", 204)

    assert (first["version"], again["version"], second["version"]) == (1, 1, 2)
    assert active["is_active"]
    assert late["code"] == "policy_document_changed"
    assert "-- kind: require-certification" in diff["diff"]
    assert (await ask(admin, "GET", "/api/policy"))["active"] is None
    trail = await ask(admin, "GET", "/api/audit?action=policy.activate")
    assert len(trail["items"]) == 2


async def test_wrong_document_is_refused_by_the_name_of_its_field(
    admin: Client,
) -> None:
    wrong = {
        "version": 1,
        "rules": [{"kind": "require-certification", "tiers": ["bronze:*"]}],
    }

    refused = await ask(admin, "POST", "/api/policy/documents", 422, document=wrong)

    assert {item["field"] for item in refused["errors"]} == {
        "document.rules[0].tiers",
        "document.rules[0].requirements",
    }


async def test_only_administrators_write_policies_and_nobody_sees_strangers_decisions(
    hub: Hub, maintainer: Client, admin: Client
) -> None:
    server_id = await host(hub, admin)
    await decide(hub, server_id)
    (made,) = (await ask(admin, "GET", "/api/policy/decisions"))["items"]

    await ask(maintainer, "POST", "/api/policy/documents", 403, text=SMOKE)
    await ask(maintainer, "POST", "/api/policy/explain", 404, server="clock")
    await ask(maintainer, "GET", f"/api/policy/decisions/{made['id']}", 404)
    await ask(maintainer, "GET", "/api/servers/clock/vm", 404)

    assert (await ask(maintainer, "GET", "/api/policy/decisions"))["items"] == []
    assert (await ask(admin, "GET", "/api/servers/clock/vm")) == {"items": []}
