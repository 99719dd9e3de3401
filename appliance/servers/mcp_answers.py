"""What comes back from an MCP server through the gateway: a message, an error of its own, or nonsense."""

from typing import Any

import aiohttp
import orjson

from appliance.core.errors import FailedError, UnavailableError

_UNAVAILABLE = {502, 503, 504}
GOOD = range(200, 300)
#: JSON-RPC codes of errors that the gateway makes itself.
_GATEWAY_CODES = range(-32059, -32049)
#: Of an answer that was no good, so much is kept to be shown.
MAX_ANSWER = 4096


class McpUnavailableError(UnavailableError):
    """The gateway, or the server behind it, does not answer.

    Args:
        answer: What came instead, if anything did.
        gateway_code: The gateway's own word for what is wrong; empty: it did not answer either.
    """

    code = "mcp_unavailable"

    def __init__(
        self,
        detail: str,
        *,
        hint: str | None = None,
        answer: bytes = b"",
        gateway_code: str = "",
    ) -> None:
        """Keep them."""
        super().__init__(detail, hint=hint)
        self.answer = answer[:MAX_ANSWER]
        self.gateway_code = gateway_code


class McpCallError(FailedError):
    """The server answered with an error.

    Args:
        rpc_code: Of the JSON-RPC error; 0 if the answer was none.
        answer: The answer itself.
        gateway_code: The gateway's own word for what is wrong, if it was the gateway that answered.
    """

    code = "mcp_call_failed"

    def __init__(
        self,
        detail: str,
        *,
        rpc_code: int = 0,
        hint: str | None = None,
        answer: bytes = b"",
        gateway_code: str = "",
    ) -> None:
        """Keep the texts and the code."""
        super().__init__(detail, hint=hint)
        self.rpc_code = rpc_code
        self.answer = answer[:MAX_ANSWER]
        self.gateway_code = gateway_code


class NonsenseError(McpCallError):
    """What the server answered is no answer of the protocol, in whichever era."""


async def from_events(
    response: aiohttp.ClientResponse, request_id: int | None
) -> dict[str, Any]:
    """Return the message that answers ``request_id``; what else comes on the way is not for us."""
    data: list[bytes] = []
    buffer = b""
    async for chunk in response.content.iter_any():
        *lines, buffer = (buffer + chunk).split(b"\n")
        for raw in lines:
            line = raw.rstrip(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].strip())
            elif not line and data:
                message = _parsed(b"\n".join(data))
                data.clear()
                if message.get("id") == request_id and "method" not in message:
                    return message
    raise McpUnavailableError("The server's event stream ended without an answer.")


def from_json(status: int, body: bytes) -> dict[str, Any]:
    """Return the message that an answer is.

    Raises:
        McpUnavailableError: The gateway has nobody who answers.
        McpCallError: It is a refusal in HTTP's words alone.
        NonsenseError: It is no JSON-RPC.
    """
    message = _parsed(body)
    error = message.get("error")
    if status in _UNAVAILABLE:
        raise McpUnavailableError(
            _message(error) or f"The gateway answered {status}.",
            answer=body,
            gateway_code=_gateway_code(error),
        )
    if status not in GOOD and "error" not in message:
        raise McpCallError(
            f"The server answered with HTTP status {status}.", answer=body
        )
    if not message:
        raise NonsenseError(
            "The server answered with something that is not JSON-RPC.", answer=body
        )
    return message


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return message if isinstance(message, dict) else {}


def call_error(answer: dict[str, Any]) -> McpCallError:
    """Return what to raise for a message with an error in it."""
    error = answer["error"]
    code = error.get("code") if isinstance(error, dict) else None
    return McpCallError(
        _message(error) or "The server answered with an error that says nothing.",
        rpc_code=code if isinstance(code, int) else 0,
        answer=orjson.dumps(answer),
        gateway_code=_gateway_code(error),
    )


def _gateway_code(error: object) -> str:
    if not isinstance(error, dict) or error.get("code") not in _GATEWAY_CODES:
        return ""
    data = error.get("data")
    code = data.get("code") if isinstance(data, dict) else None
    return code if isinstance(code, str) else ""


def _message(error: object) -> str:
    return str(error.get("message", "")) if isinstance(error, dict) else ""
