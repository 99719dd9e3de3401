"""How a client whose every request stands alone is spoken to during a call."""

import asyncio
from collections.abc import Callable

from msgspec import UNSET

from appliance.gateway.bridge.calls import Ask, Call
from appliance.gateway.bridge.fronts import exchange, modern_answers
from appliance.gateway.bridge.fronts.exchange import Ending
from appliance.gateway.bridge.fronts.parking import Parked, is_response
from appliance.gateway.protocol import modern, wire
from appliance.gateway.protocol.capabilities import lacking
from appliance.gateway.protocol.levels import reaches
from appliance.gateway.protocol.modern import Modern
from appliance.gateway.protocol.wire import Envelope

#: Requests that may end with questions.
_ASKING = {"tools/call", "prompts/get", "resources/read"}
#: A server that asks several things at once prints them one by one.
MORE_WITHIN_S = 0.03


class StatelessManner:
    """How a client without a session is spoken to.

    Args:
        parked: The call, which waits here if its server asks something.
        park: Makes it wait, and returns the state for its client.
        server_info: What the server calls itself.
    """

    def __init__(
        self,
        request: Modern,
        parked: Parked,
        park: Callable[[Parked], str],
        server_info: object,
    ) -> None:
        """Have asked nothing but what is left from before."""
        self._request = request
        self._parked = parked
        self._park = park
        self._server_info = server_info
        self._settled_at = 0.0
        # A client may bring what it knows will be asked, without having been asked yet.
        is_first = request.request_state is None
        self._brought = dict(request.input_responses) if is_first else {}
        self.is_parked = False

    def note(self, body: bytes) -> bytes | None:
        """Return the notification, unless it is a log message that the client did not ask for, or of the other era."""
        message = wire.decode_line(body)
        fields = modern.fields_of(message.params)
        if message.method == "notifications/message":
            level = modern.value_of(fields.get("level"))
            return body if reaches(level, self._request.log_level) else None
        if message.method == "notifications/cancelled":
            key = wire.string_of(fields.get("requestId", UNSET))
            self._withdrawn(key)
            return None
        return None if message.method == "notifications/elicitation/complete" else body

    def ask(self, ask: Ask) -> bytes | None:
        """Keep the question for the end of the exchange, unless the client cannot answer it or has done so already."""
        if self._request.method not in _ASKING:
            ask.refuse(
                wire.INVALID_REQUEST,
                f"Nothing can be asked during {self._request.method}.",
            )
            return None
        missing = lacking(ask.method, ask.params, self._request.capabilities)
        if missing:
            ask.refuse(
                wire.MISSING_CAPABILITY,
                f"The client does not support {ask.method}.",
                {"requiredCapabilities": missing},
            )
            return None
        self._keep(ask, modern_answers.key_of(ask))
        return None

    def pause_s(self) -> float | None:
        """Return how long to wait for another question, once there is one."""
        if not self._parked.asks:
            return None
        return max(0.001, self._settled_at - asyncio.get_running_loop().time())

    def ending(self, call: Call) -> Ending | None:
        """Return the answer, or the questions."""
        if call.error is not None:
            return exchange.failed(call, call.error)
        if call.answer is not None:
            if call.answer.error is UNSET:
                return modern_answers.result_of(call, self._server_info)
            return modern_answers.error_of(
                call, self._request.capabilities, self._server_info
            )
        is_settled = asyncio.get_running_loop().time() >= self._settled_at
        if not self._parked.asks or not is_settled:
            return None
        self.is_parked = True
        requests = {
            key: modern_answers.question(ask) for key, ask in self._parked.asks.items()
        }
        state = self._park(self._parked)
        return modern_answers.input_required(
            call.client_id, requests, self._server_info, state
        )

    def _keep(self, ask: Ask, key: str) -> None:
        if key in self._parked.asks:
            key = ask.key
        brought = self._brought.pop(key, None)
        if brought is not None and is_response(brought):
            ask.reply(Envelope(result=brought))
            return
        self._parked.asks[key] = ask
        self._settled_at = asyncio.get_running_loop().time() + MORE_WITHIN_S

    def _withdrawn(self, ask_key: str) -> None:
        for key, ask in list(self._parked.asks.items()):
            if ask.key == ask_key:
                del self._parked.asks[key]
