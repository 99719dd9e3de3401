"""Requests to remote servers that want to know who calls: an account's token is put on here, and nowhere else."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from appliance.core.upstreams import Token
from appliance.gateway.routes import Route
from appliance.gateway.signins import HUB, Signins, scope_challenge

if TYPE_CHECKING:
    from appliance.gateway.http.upstream import UpstreamAnswer

#: Sends a request to an address as it is.
Send = Callable[[str, str, CIMultiDict[str], bytes], Awaitable["UpstreamAnswer"]]
_CHALLENGE = "www-authenticate"


class SignedRequests:
    """Sends requests with the token of the route's account.

    Args:
        signins: Has the tokens.
        send: Sends what it is given.
    """

    def __init__(self, signins: Signins, send: Send) -> None:
        """Send nothing yet."""
        self._signins = signins
        self._send = send

    async def request(
        self, route: Route, method: str, headers: CIMultiDict[str], body: bytes
    ) -> "UpstreamAnswer":
        """Return the server's answer; where it does not take the token any more, to the same request with the next one.

        Raises:
            SigninNeededError: The account has no token, or one that may not do this.
            TokenNotRenewedError: It cannot be had just now.
            ConnectionError: The connection broke, or was not made.
        """
        token = await self._signins.token(route)
        answer = await self._ask(route, method, headers, body, token)
        if answer.head.status == HTTPStatus.UNAUTHORIZED and token is not None:
            # It was refused before it was looked at, so it may be sent again.
            await _leave(answer)
            token = await self._signins.renewed(route, token)
            answer = await self._ask(route, method, headers, body, token)
        said = answer.head.get(_CHALLENGE) or ""
        if answer.head.status == HTTPStatus.UNAUTHORIZED:
            await _leave(answer)
            raise self._signins.needed(route, said)
        if answer.head.status == HTTPStatus.FORBIDDEN:
            challenge = scope_challenge(said)
            if challenge is not None and route.account != HUB:
                await _leave(answer)
                raise await self._signins.lacking(route, token, challenge)
        return answer

    async def _ask(  # noqa: PLR0917 - one request
        self,
        route: Route,
        method: str,
        headers: CIMultiDict[str],
        body: bytes,
        token: Token | None,
    ) -> "UpstreamAnswer":
        shown = CIMultiDict(headers)
        # Whatever a caller showed to us is for us alone.
        shown.popall("Authorization", None)
        if token is not None:
            shown["Authorization"] = f"Bearer {token.value}"
        return await self._send(route.address, method, shown, body)


async def _leave(answer: "UpstreamAnswer") -> None:
    async with answer:
        pass
