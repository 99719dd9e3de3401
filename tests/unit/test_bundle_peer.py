"""A bundle over members that are good, dead, slow or lying: nobody loses anything by another's fault."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from msgspec import UNSET, Raw

from appliance.gateway.bridge.bundles.link import PAGES_LIMIT, Patience
from appliance.gateway.bridge.bundles.memory import Memory
from appliance.gateway.bridge.bundles.peer import BundlePeer
from appliance.gateway.bridge.bundles.quotas import Quotas
from appliance.gateway.bridge.calls import Ask, Call, Caller
from appliance.gateway.bridge.peers.registry import Peers
from appliance.gateway.errors import ConnectionLostError
from appliance.gateway.members import Member, Override
from appliance.gateway.protocol import wire
from appliance.gateway.protocol.wire import Envelope
from appliance.gateway.routes import BUNDLE, LiveTable, Route, RoutingTable
from tests.fakes.peers import FakePeer

ME = Caller("user:1", "s1")
PATIENCE = Patience(hello_s=0.05, list_s=0.05, open_s=0.05, retry_s=0.05)
STORED = {"tools": [{"name": "stored", "inputSchema": {"type": "object"}}]}


class Scene:
    """One bundle and its members."""

    def __init__(self, **peers: FakePeer) -> None:
        self.peers = peers
        self.manifests: dict[int, Any] = {}
        self.servers = {
            name: Route(number, name, 5, "running", "", number, f"c{number}", "stdio")
            for number, name in enumerate(peers, 1)
        }
        self.members = tuple(
            Member(route.server_id, name, name) for name, route in self.servers.items()
        )
        self.table = LiveTable({})
        self.publish()
        registry = Peers({"stdio": lambda route: self.peers[route.name]})
        memory = Memory(lambda server_id: self.manifests.get(server_id, {}))
        self.bundle = BundlePeer(
            self.route, self.table, registry, memory, quotas=Quotas(), patience=PATIENCE
        )

    def publish(self) -> None:
        self.route = Route(
            0, "b", 5, "running", "", 3, transport=BUNDLE, bundle_id=3,
            separator="__", members=self.members,
        )  # fmt: skip
        self.table.current = RoutingTable(
            self.servers, {}, {}, 0.0, bundles={"b": self.route}
        )

    async def ask(self, method: str, caller: Caller = ME, **params: Any) -> Any:
        """Return the whole answer."""
        call = await self.begin(method, caller, **params)
        while not call.is_over:
            await call.news()
        self.bundle.abandon(call)
        assert call.answer is not None, call.error
        return json.loads(call.answer_body())

    async def begin(self, method: str, caller: Caller = ME, **params: Any) -> Call:
        raw = Raw(json.dumps(params).encode())
        request = Envelope(id=Raw(b"7"), method=method, params=raw)
        return await self.bundle.begin(request, caller)

    async def tools(self, caller: Caller = ME) -> list[str]:
        answer = await self.ask("tools/list", caller)
        return [tool["name"] for tool in answer["result"]["tools"]]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene(good=FakePeer("t"), other=FakePeer("u"))
    yield made
    await made.bundle.close()


async def test_a_call_reaches_its_member_under_the_tools_own_name(scene: Scene) -> None:
    call = await scene.begin("tools/call", name="other__u", arguments={"a": 1})

    assert call.server_id == 2
    assert call.client_id == b"7"
    assert scene.peers["other"].seen == [
        ("tools/call", {"name": "u", "arguments": {"a": 1}}, ME)
    ]
    assert not scene.peers["good"].seen


async def test_the_listed_order_is_that_of_the_members(scene: Scene) -> None:
    assert await scene.tools() == ["good__t", "other__u"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda peer: setattr(peer, "is_dead", True),
        lambda peer: setattr(peer, "is_slow", True),
        lambda peer: peer.answers.update({"tools/list": None}),
        lambda peer: peer.answers.update({"tools/list": b"[1, 2]"}),
        lambda peer: peer.answers.update({"tools/list": {"tools": "none"}}),
        lambda peer: peer.answers.update({"tools/list": ConnectionLostError("Gone.")}),
        lambda peer: peer.answers.update(
            {"tools/list": lambda _: Envelope(error=Raw(b'{"code":-1,"message":""}'))}
        ),
    ],
)
async def test_a_member_that_fails_takes_nothing_away_and_its_tools_stay(
    scene: Scene, spoil: Callable[[FakePeer], None]
) -> None:
    before = await scene.tools()
    spoil(scene.peers["good"])

    assert await scene.tools() == before == ["good__t", "other__u"]
    assert "result" in await scene.ask("tools/call", name="other__u")


async def test_a_member_that_was_never_reached_shows_what_its_last_probe_found(
    scene: Scene,
) -> None:
    scene.peers["good"].is_dead = True
    scene.manifests[1] = STORED

    assert await scene.tools() == ["good__stored", "other__u"]


async def test_what_one_principal_was_listed_is_not_remembered_for_another(
    scene: Scene,
) -> None:
    await scene.tools(Caller("user:1"))
    scene.peers["good"].is_dead = True

    assert await scene.tools(Caller("user:2")) == ["other__u"]
    assert await scene.tools(Caller("user:1")) == ["good__t", "other__u"]


@pytest.mark.parametrize("fault", ["is_dead", "is_slow"])
async def test_a_call_of_a_member_that_is_away_says_which_and_why(
    scene: Scene, fault: str
) -> None:
    setattr(scene.peers["good"], fault, True)

    error = (await scene.ask("tools/call", name="good__t"))["error"]

    assert error["code"] == wire.UNAVAILABLE
    assert error["data"]["member"] == "good"
    assert error["message"].startswith("good: ")


async def test_a_slow_member_is_waited_for_once(scene: Scene) -> None:
    scene.peers["good"].is_slow = True
    await scene.tools()
    started = asyncio.get_running_loop().time()

    for _ in range(5):
        await scene.bundle.opened()
        await scene.tools()

    assert asyncio.get_running_loop().time() - started < 0.05


async def test_a_member_that_comes_back_is_found_again(scene: Scene) -> None:
    scene.peers["good"].is_dead = True
    assert await scene.tools() == ["other__u"]
    scene.peers["good"].is_dead = False
    await asyncio.sleep(0.06)

    await scene.tools()  # tries it, and does not wait
    await asyncio.sleep(0.02)

    assert await scene.tools() == ["good__t", "other__u"]


async def test_a_server_that_changed_hands_is_out_of_the_bundle(scene: Scene) -> None:
    await scene.tools()
    mine, other = scene.members
    scene.members = (replace(mine, is_permitted=False), other)
    scene.publish()

    assert await scene.tools() == ["other__u"]
    assert (await scene.ask("tools/call", name="good__t"))["error"]["code"] == -32602


async def test_another_server_of_the_members_name_is_not_the_member(
    scene: Scene,
) -> None:
    scene.servers["good"] = replace(scene.servers["good"], server_id=99)
    scene.publish()

    error = (await scene.ask("tools/call", name="good__t"))["error"]

    assert "no such server" in error["message"]
    assert not scene.peers["good"].seen


async def test_the_servers_own_allow_list_holds_in_a_bundle_too(scene: Scene) -> None:
    route = scene.servers["good"]
    scene.servers["good"] = replace(route, allowed_tools=frozenset({"x"}))

    assert await scene.tools() == ["other__u"]
    assert (await scene.ask("tools/call", name="good__t"))["error"]["code"] == -32602


async def test_a_renamed_tool_is_called_by_its_new_name_alone(scene: Scene) -> None:
    mine, other = scene.members
    scene.members = (replace(mine, overrides={"t": Override(name="find")}), other)
    scene.publish()

    assert await scene.tools() == ["find", "other__u"]
    assert "result" in await scene.ask("tools/call", name="find")
    assert "error" in await scene.ask("tools/call", name="good__t")


async def test_a_list_has_one_page(scene: Scene) -> None:
    assert (await scene.ask("tools/list", cursor="x"))["error"]["code"] == -32602


async def test_all_pages_of_a_member_are_collected_and_endless_ones_end() -> None:
    def page(params: Any) -> Envelope:
        number = int(params.get("cursor", "0"))
        result = {
            "tools": [{"name": f"t{number}", "inputSchema": {}}],
            "nextCursor": str(number + 1),
        }
        return Envelope(result=Raw(json.dumps(result).encode()))

    scene = Scene(good=FakePeer(answers={"tools/list": page}))

    assert len(await scene.tools()) == PAGES_LIMIT


async def test_resources_are_read_where_they_are_listed_or_where_they_are() -> None:
    def read(params: Any) -> Envelope:
        if params["uri"] != "x:hidden":
            return Envelope(error=Raw(b'{"code":-32002,"message":"none"}'))
        return Envelope(result=Raw(b'{"contents":[]}'))

    def read_nothing(_: Any) -> Envelope:
        return Envelope(error=Raw(b'{"code":-32002,"message":"none"}'))

    capabilities: dict[str, Any] = {"resources": {}}
    listing = {"resources": [{"uri": "x:1", "name": ""}]}
    first = FakePeer(
        capabilities=capabilities, answers={"resources/read": read_nothing}
    )
    second = FakePeer(
        capabilities=capabilities,
        answers={"resources/list": listing, "resources/read": read},
    )
    scene = Scene(first=first, second=second)

    await scene.ask("resources/read", uri="x:1")
    found = await scene.ask("resources/read", uri="x:hidden")
    named = await scene.ask("resources/read", uri="bundle:first:x:1")

    assert [seen[1] for seen in second.seen if seen[0] == "resources/read"] == [
        {"uri": "x:1"},
        {"uri": "x:hidden"},
    ]
    assert found["result"] == {"contents": []}
    assert named["error"]["code"] == -32002
    assert first.seen[-1][1] == {"uri": "x:1"}


async def test_an_updated_resource_is_told_under_the_uri_it_was_asked_for() -> None:
    peer = FakePeer(capabilities={"resources": {"subscribe": True}})
    scene = Scene(a=peer)
    await scene.ask("resources/subscribe", uri="bundle:a:x:1")
    stream = scene.bundle.open_stream(ME)
    await asyncio.sleep(0.01)

    params = Raw(b'{"uri":"x:1"}')
    note = Envelope(method="notifications/resources/updated", params=params)
    peer.streams[0].put(wire.encode(note))

    item = await stream.get()
    assert isinstance(item, bytes)
    assert json.loads(item)["params"]["uri"] == "bundle:a:x:1"
    await scene.bundle.close()


async def test_streams_hear_every_member_and_the_bundles_own_changes(
    scene: Scene,
) -> None:
    await scene.bundle.opened()
    stream = scene.bundle.open_stream(ME)
    await asyncio.sleep(0.01)
    for name, peer in scene.peers.items():
        peer.streams[0].put(name.encode())
    asked = Ask("k", "roots/list", UNSET, lambda _: None)
    scene.peers["good"].streams[0].put(asked)
    heard = {await stream.get(), await stream.get(), await stream.get()}

    scene.members = scene.members[:1]
    scene.publish()
    async with asyncio.timeout(2):
        change = await stream.get()

    assert heard == {b"good", b"other", asked}
    assert isinstance(change, bytes)
    assert b"tools/list_changed" in change
    assert not scene.peers["other"].streams
    scene.bundle.close_stream(stream)
    await asyncio.sleep(0.01)
    assert not scene.peers["good"].streams


async def test_a_cancellation_reaches_the_member_that_has_the_call(
    scene: Scene,
) -> None:
    scene.peers["good"].answers["tools/call"] = None
    call = await scene.begin("tools/call", name="good__t")
    cancel = Envelope(method="notifications/cancelled", params=Raw(b'{"requestId": 7}'))

    await scene.bundle.notify(cancel, Caller("user:2", "s1"))
    assert not scene.peers["good"].notified
    await scene.bundle.notify(cancel, ME)

    assert scene.peers["good"].notified == [cancel]
    assert not scene.peers["other"].notified
    scene.bundle.abandon(call)
    assert scene.peers["good"].abandoned == [call]


async def test_a_session_ends_at_every_member(scene: Scene) -> None:
    stream = scene.bundle.open_stream(ME)

    scene.bundle.end_session(ME)

    assert await stream.get() is None
    assert scene.peers["good"].ended == scene.peers["other"].ended == [ME]


async def test_a_completion_is_asked_of_the_prompts_member(scene: Scene) -> None:
    ref = {"type": "ref/prompt", "name": "other__p"}

    await scene.ask("completion/complete", ref=ref, argument={"name": "a", "value": ""})

    assert scene.peers["other"].seen[0][1]["ref"] == {"type": "ref/prompt", "name": "p"}


async def test_a_servers_own_limits_hold_in_a_bundle_too(scene: Scene) -> None:
    scene.servers["good"] = replace(scene.servers["good"], limits={"concurrency": 1})
    scene.peers["good"].answers["tools/call"] = None
    first = await scene.begin("tools/call", name="good__t")

    refused = await scene.ask("tools/call", name="good__t")
    scene.bundle.abandon(first)
    scene.peers["good"].answers["tools/call"] = {}
    again = await scene.ask("tools/call", name="good__t")

    assert refused["error"]["data"]["code"] == "limited"
    assert "result" in again
    assert "result" in await scene.ask("tools/call", name="other__u")


async def test_a_bundle_without_members_is_an_empty_server() -> None:
    scene = Scene()

    assert await scene.tools() == []
    assert (await scene.bundle.opened())["serverInfo"]["name"] == "b"
    assert "error" in await scene.ask("tools/call", name="x__y")
    assert "error" in await scene.ask("tasks/list")
