"""Whether an instance that is to take over does what its users come for: one call of the server's canary."""

from appliance.core.errors import FailedError
from appliance.runtimes.model import Transport
from appliance.servers.checks.questions import Conversation, NobodyAskedError
from appliance.servers.exchange import Gateway
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
        gateway: Where it is.
    """

    def __init__(self, gateway: Gateway) -> None:
        """Keep it."""
        self._gateway = gateway

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
        exchange = self._gateway.exchange(
            server.name,
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
