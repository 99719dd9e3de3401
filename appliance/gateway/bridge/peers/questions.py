"""Let a client answer what a server of the modern era wants to know before it goes on with a call."""

import asyncio
import secrets

from msgspec import UNSET, Raw

from appliance.gateway.bridge.calls import Ask, Call
from appliance.gateway.bridge.peers.speech import Questions
from appliance.gateway.protocol.wire import Envelope


async def ask_all(call: Call, questions: Questions) -> dict[str, Raw] | Envelope:
    """Return the client's answers by the server's names, or the first refusal: the server cannot be told of one."""
    waiting = {key: _ask(call, key, questions) for key in questions.asked}
    try:
        answers = await asyncio.gather(*waiting.values())
    finally:
        for answer in waiting.values():
            answer.cancel()
    refusal = next((item for item in answers if item.error is not UNSET), None)
    if refusal is not None:
        return Envelope(error=refusal.error)
    return {
        key: Raw(b"{}") if answer.result is UNSET else answer.result
        for key, answer in zip(waiting, answers, strict=True)
    }


def _ask(call: Call, key: str, questions: Questions) -> asyncio.Future[Envelope]:
    answer: asyncio.Future[Envelope] = asyncio.get_running_loop().create_future()

    def reply(said: Envelope) -> None:
        if not answer.done():
            answer.set_result(said)

    method, params = questions.asked[key]
    call.ask(Ask(secrets.token_hex(12), method, params, reply))
    return answer
