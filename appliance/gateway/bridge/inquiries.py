"""What workers ask about a server, besides passing calls on: how it speaks, and for a session in place of a dead one."""

from http import HTTPStatus

import msgspec

from appliance.gateway.bridge.fronts.callers import Said
from appliance.gateway.bridge.peer import Peer
from appliance.gateway.bridge.peers.detection import LEGACY, MODERN
from appliance.gateway.bridge.peers.hello import hello_for
from appliance.gateway.bridge.peers.http_peer import HttpPeer, direct_eras
from appliance.gateway.http import messages as http
from appliance.gateway.protocol import wire
from appliance.gateway.routes import Route


class _Revive(msgspec.Struct):
    session: str
    client: Said = msgspec.field(default_factory=Said)
    #: Whether the client ends it: then there will be none in its place.
    ended: bool = False


async def eras(route: Route, peer: Peer) -> http.Answer:
    """Tell in which eras a worker may forward bytes without the bridge; through the bridge, every client may come.

    Raises:
        DomainError: The server does not answer, or nothing that is understood here.
    """
    transport, found = route.transport, [LEGACY, MODERN]
    if isinstance(peer, HttpPeer):
        finding = await peer.finding()
        transport, found = finding.transport, direct_eras(finding)
    return http.json_answer(wire.encode({"eras": found, "transport": transport}))


async def revive(request: http.Request, peer: Peer) -> http.Answer:
    """Answer with the id of the session that takes the place of one that the server has forgotten.

    Raises:
        DomainError: The server cannot be opened.
    """
    if not isinstance(peer, HttpPeer):
        return http.empty(HTTPStatus.NOT_FOUND)
    try:
        asked = msgspec.json.decode(
            await http.read_body(request, _BODY_LIMIT), type=_Revive
        )
    except msgspec.DecodeError:
        return http.empty(HTTPStatus.BAD_REQUEST)
    principal = request.headers.get(http.PRINCIPAL_HEADER, "")
    if asked.ended:
        peer.end(principal, asked.session)
        return http.empty(HTTPStatus.NO_CONTENT)
    hello = hello_for(asked.client.caller(principal, asked.session))
    session_id = await peer.successor(principal, asked.session, hello)
    return http.json_answer(wire.encode({"session": session_id}))


_BODY_LIMIT = 1024 * 1024
