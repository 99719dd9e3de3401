"""Versions of servers, as evaluations ask them: through the gateway, one instance and no other."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import aiohttp

from appliance.core.errors import NotFoundError
from appliance.evaluations.errors import NothingToAskError
from appliance.evaluations.expectations.answer import Answer
from appliance.evaluations.ports import Called, Caller
from appliance.evaluations.replay.calls import size_of
from appliance.evaluations.suites import Version
from appliance.servers import deployment_store, store
from appliance.servers.candidates import MAX_SECONDS, Candidates
from appliance.servers.evaluated import ASKABLE, deployments_of
from appliance.servers.exchange import Gateway
from appliance.servers.mcp_answers import McpCallError, McpUnavailableError
from appliance.servers.model import Deployment, DeploymentState, Server
from appliance.servers.versions import known_as

#: Words of the gateway for what is the server's own fault, not that of the way to it.
_ITS_OWN = frozenset(
    {
        *("server_silent", "server_stuck", "call_timed_out", "answer_too_long"),
        *("connection_lost", "instance_ended"),
    }
)


class GatewayTargets:
    """Finds versions, and calls their tools.

    Args:
        gateway: Where it is.
        candidates: Lends instances: of what is held one is started for it alone.
    """

    def __init__(self, gateway: Gateway, candidates: Candidates) -> None:
        """Keep the parts."""
        self._gateway = gateway
        self._candidates = candidates

    def version(
        self,
        server_id: int,
        *,
        number: int | None = None,
        deployment_id: int | None = None,
    ) -> Version:
        """Return a version of a server; runs inside ``database.run``.

        Where nothing is live, the one that is held or on its way is meant.

        Raises:
            NothingToAskError: There is none that could be asked.
        """
        server = store.find_by_id(server_id)
        if server is None:
            raise NothingToAskError("The server is gone.")
        try:
            deployment = _deployment(server, number, deployment_id)
        except NotFoundError as error:
            raise NothingToAskError(error.detail) from error
        if (
            deployment is None
            or deployment.state not in ASKABLE
            or deployment.image is None
        ):
            _refuse(server, deployment)
        return _version(server, deployment)

    def of_digest(self, digest: str) -> list[Version]:
        """Return of every server the version that is known by a digest; runs inside ``database.run``."""
        return [
            _version(store.get(item.server_id), item) for item in deployments_of(digest)
        ]

    @asynccontextmanager
    async def open(
        self, version: Version, holder: str, within_s: float
    ) -> AsyncIterator[Caller]:
        """Have a version ready to be asked.

        Raises:
            CandidateImpossibleError: It ended meanwhile, or its server is stopped.
            McpUnavailableError: It did not answer in time.
        """
        async with self._candidates.lent(
            version.deployment_id, holder, seconds=MAX_SECONDS, within_s=within_s
        ) as target:
            yield GatewayCaller(self._gateway, target.server_name, target.instance_id)


class GatewayCaller:
    """Calls tools of one instance; every call has a session of its own.

    Args:
        gateway: Where it is.
        name: Of the server.
        instance_id: Which must answer.
    """

    def __init__(self, gateway: Gateway, name: str, instance_id: int) -> None:
        """Keep them."""
        self._gateway = gateway
        self._name = name
        self._instance_id = instance_id

    async def call(
        self, tool: str, arguments: Mapping[str, Any], timeout_s: float
    ) -> Called:
        """Call a tool; that nobody answers, or refuses, is an answer too."""
        exchange = self._gateway.exchange(
            self._name, timeout_s, instance_id=self._instance_id, is_traced=False
        )
        began = time.monotonic()
        try:
            await exchange.open()
            began = time.monotonic()
            params = {"name": tool, "arguments": dict(arguments)}
            answer = Answer(await exchange.ask("tools/call", params))
            took = _since(began)
            await exchange.close()
            return Called(answer, took, size_of(answer))
        except McpCallError as error:
            return _refused(error.rpc_code, error.detail, began)
        except McpUnavailableError as error:
            if error.gateway_code in _ITS_OWN:
                return _refused(0, error.detail, began)
            return Called(Answer(), _since(began), 0, unavailable=error.reason)
        except TimeoutError:
            return _refused(0, f"No answer within {timeout_s:g} seconds.", began)
        except aiohttp.ClientError as error:
            why = f"The gateway does not answer: {error}."
            return Called(Answer(), _since(began), 0, unavailable=why)


def _refused(code: int, message: str, began: float) -> Called:
    return Called(Answer(rpc_code=code, rpc_message=message), _since(began), 0)


def _since(began: float) -> float:
    return (time.monotonic() - began) * 1000


def _deployment(
    server: Server, number: int | None, deployment_id: int | None
) -> Deployment | None:
    if number is not None:
        return deployment_store.numbered(server.id, number)
    if deployment_id is not None:
        return store.get_deployment(deployment_id)
    live = store.deployment_in(server.id, DeploymentState.LIVE)
    return live or store.deployment_in(server.id, DeploymentState.PENDING)


def _refuse(server: Server, deployment: Deployment | None) -> NoReturn:
    if deployment is None:
        raise NothingToAskError(
            f"Nothing of {server.name} runs.",
            hint="Start it, or deploy it first.",
        )
    raise NothingToAskError(
        f"Deployment {deployment.number} of {server.name} does not run: it is {deployment.state.value}.",
        hint="Ask the one that is live, or held.",
    )


def _version(server: Server, deployment: Deployment) -> Version:
    known = known_as(server, deployment)
    manifest = deployment.manifest or {}
    return Version(
        server_id=server.id,
        server_name=server.name,
        owner_id=server.owner_id,
        org_id=server.org_id,
        deployment_id=deployment.id,
        number=deployment.number,
        is_candidate=deployment.state is not DeploymentState.LIVE,
        digest=known.digest,
        tier=known.tier,
        artifact_run_id=known.artifact_run_id,
        tools=tuple(manifest.get("tools") or ()),
    )
