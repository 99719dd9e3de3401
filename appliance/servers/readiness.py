"""Whether an instance that is to take over does what its users come for: one call of the server's canary."""

import aiohttp

from appliance.core.errors import FailedError
from appliance.runtimes.model import Transport
from appliance.servers.checks.questions import Conversation, NobodyAskedError
from appliance.servers.exchange import Exchange
from appliance.servers.health.model import StepResult
from appliance.servers.instances import transport_of
from appliance.servers.model import Deployment, Server

_SLACK_S = 5.0


class NotReadyError(FailedError):
    """It answers, but not as its users need it."""

    code = "not_ready"


class CandidateCheck:
    """Asks instances beside the routed one.

    Args:
        session: Shared by the process.
        gateway_url: Such as ``http://127.0.0.1:4444``.
        key: The hub's own.
    """

    def __init__(
        self, session: aiohttp.ClientSession, gateway_url: str, key: str
    ) -> None:
        """Keep them."""
        self._session = session
        self._gateway_url = gateway_url.rstrip("/")
        self._key = key

    async def require(
        self, server: Server, deployment: Deployment, instance_id: int
    ) -> None:
        """Ask, where the server has a canary.

        Raises:
            NotReadyError: It does not answer as it should; says what it answered.
        """
        policy = server.config.health
        if policy.canary is None:
            return
        exchange = Exchange(
            self._session,
            f"{self._gateway_url}/servers/{server.name}/mcp",
            self._key,
            policy.timeout_s + _SLACK_S,
            instance_id=instance_id,
            is_traced=False,
        )
        is_stdio = transport_of(deployment) is Transport.STDIO
        conversation = Conversation(exchange, policy, is_modern=is_stdio)
        try:
            steps = await conversation.hold()
        except NobodyAskedError as error:
            raise NotReadyError(str(error)) from error
        for step in steps:
            if step.result is StepResult.FAILED:
                said = f" It said: {step.answer}" if step.answer else ""
                raise NotReadyError(f"{step.name}: {step.detail}{said}")
