"""The rules of bundles: names lead to one tool, lists keep what is usable, resources find their member, failures wait."""

import json
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import Raw

from appliance.core.errors import LimitedError
from appliance.core.ids import key_hash
from appliance.core.tool_names import entangled, exposed_name, is_name
from appliance.gateway.bridge.bundles.breaker import FIRST_S, LONGEST_S, Breaker
from appliance.gateway.bridge.bundles.items import (
    RESOURCES,
    TOOLS,
    Item,
    Kind,
    clean,
)
from appliance.gateway.bridge.bundles.merge import list_result, opened_result
from appliance.gateway.bridge.bundles.names import Names, named_uri
from appliance.gateway.bridge.bundles.quotas import Quotas
from appliance.gateway.bridge.bundles.targets import fits, owners
from appliance.gateway.edge.keys import Admission, Denial, admit
from appliance.gateway.members import Member, Override
from appliance.gateway.routes import Route, RoutingTable
from appliance.gateway.snapshot import Snapshot

NAME = st.text("ab_.-1", min_size=1, max_size=8)
SEPARATORS = st.sampled_from(["__", "_", ".", "-", "a_"])


def items(kind: Kind, *entries: Any) -> list[tuple[str, Item]]:
    return list(clean(kind, [Raw(json.dumps(entry).encode()) for entry in entries]))


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


@given(st.lists(NAME, min_size=1, max_size=4, unique=True), SEPARATORS, NAME, st.data())
def test_every_name_leads_back_to_the_tool_it_was_made_for(
    prefixes: list[str], separator: str, name: str, data: st.DataObject
) -> None:
    heads = [prefix + separator for prefix in prefixes]
    assume(entangled(heads) is None)
    chosen = data.draw(NAME)
    assume(not any(chosen.startswith(head) for head in heads))
    members = [
        Member(number, f"server-{number}", prefix)
        for number, prefix in enumerate(prefixes)
    ]
    renamed = Member(9, "r", "r" * 20, overrides={"original": Override(name=chosen)})
    names = Names([*members, renamed], separator)

    exposed = [names.tool(member, name) for member in members]

    assert len(set(exposed)) == len(members)
    for member, shown in zip(members, exposed, strict=True):
        assert shown is not None
        assert names.find_tool(shown) == (member, name)
        assert names.find_prompt(shown) == (member, name)
    assert names.find_tool(chosen) == (renamed, "original")
    assert names.find_tool(f"{renamed.prefix}{separator}original") is None


@given(st.text(max_size=30), SEPARATORS)
def test_whatever_is_found_is_called_what_was_asked_for(
    asked: str, separator: str
) -> None:
    members = [Member(1, "x", "a"), Member(2, "y", "b", tools=frozenset({"a"}))]
    names = Names(members, separator)

    found = names.find_tool(asked)

    assert found is None or names.tool(*found) == asked


def test_a_member_that_is_not_permitted_has_no_names() -> None:
    names = Names([Member(1, "x", "a", is_permitted=False)], "__")

    assert names.find_tool("a__t") is None
    assert names.find_uri("bundle:a:file:///x") is None


def test_a_tool_that_is_not_on_the_list_is_neither_shown_nor_found() -> None:
    member = Member(1, "x", "a", tools=frozenset({"yes"}))
    names = Names([member], "__")

    assert names.tool(member, "no") is None
    assert names.find_tool("a__no") is None
    assert names.find_tool("a__yes") == (member, "yes")


def test_a_name_that_clients_could_not_use_is_left_out_until_one_is_chosen() -> None:
    assert exposed_name("a", "__", "bad name") is None
    assert exposed_name("a", "__", "x" * 126) is None
    assert exposed_name("a", "__", "bad name", "good") == "good"
    assert is_name("a" * 128)
    assert not is_name("a" * 129)


def test_prefixes_of_which_one_begins_another_are_found() -> None:
    assert entangled(["a__", "a__b__"]) == ("a__", "a__b__")
    assert entangled(["a__", "ab__"]) is None


def test_a_lying_member_loses_its_bad_entries_and_nothing_else() -> None:
    found = items(
        TOOLS,
        tool("good", outputSchema="nonsense", title=5, icons=[{"no": "src"}]),
        tool("good", description="a second of the same name"),
        {"name": "without a schema"},
        {"name": 5, "inputSchema": {}},
        tool("array", inputSchema={"type": "array"}),
        "not even an object",
        None,
        tool("plain", inputSchema={}),
    )

    assert [name for name, _ in found] == ["good", "plain"]
    assert set(found[0][1]) == {"name", "inputSchema"}
    assert json.loads(bytes(found[1][1]["inputSchema"])) == {"type": "object"}


def test_values_that_are_kept_are_kept_as_they_were_written() -> None:
    raw = b'{"name":"n","inputSchema":{"type":"object","x":12345678901234567890.10},"annotations":{"readOnlyHint":true}}'

    ((_, item),) = clean(TOOLS, [Raw(raw)])

    assert (
        bytes(item["inputSchema"]) == b'{"type":"object","x":12345678901234567890.10}'
    )


def test_lists_are_in_the_members_order_with_names_and_descriptions_of_the_bundle() -> (
    None
):
    second = Member(
        2, "y", "b", overrides={"t": Override(name="renamed", description="mine")}
    )
    first = Member(1, "x", "a")
    listed = [
        (second, items(TOOLS, tool("t", description="theirs"), tool("u"))),
        (first, items(TOOLS, tool("t"))),
    ]

    result = json.loads(list_result(TOOLS, listed, Names([second, first], "__")))

    assert [item["name"] for item in result["tools"]] == ["renamed", "b__u", "a__t"]
    assert result["tools"][0]["description"] == "mine"
    assert result["tools"][0]["_meta"] == {"mcp-host/member": "b"}


def test_of_two_members_with_one_uri_the_first_has_it_and_the_other_is_named() -> None:
    entry = {"uri": "file:///a", "name": "a"}
    first, second = Member(1, "x", "a"), Member(2, "y", "b")
    listed = [(first, items(RESOURCES, entry)), (second, items(RESOURCES, entry))]
    names = Names([first, second], "__")

    result = json.loads(list_result(RESOURCES, listed, names))

    shown = [item["uri"] for item in result["resources"]]
    assert shown == ["file:///a", "bundle:b:file:///a"]
    assert names.find_uri(shown[1]) == (second, "file:///a")
    assert named_uri(second, "file:///a") == shown[1]


def test_a_uri_belongs_to_who_lists_it_else_to_those_whose_templates_it_fits() -> None:
    first, second = Member(1, "x", "a"), Member(2, "y", "b")
    resources = [(first, []), (second, items(RESOURCES, {"uri": "x:1", "name": ""}))]
    templates: Any = [(first, [("x:{id}", {})]), (second, [("x:{id}", {})])]

    assert owners("x:1", resources, templates) == [second]
    assert owners("x:2", resources, templates) == [first, second]
    assert owners("y:2", resources, templates) == []
    assert fits("file:///{+path}", "file:///a/b")
    assert not fits("file:///{path}", "file:///a/b")
    assert not fits("a.b:{x}", "aXb:1")


def test_a_bundle_can_what_any_member_can_and_a_stranger_may_have_anything() -> None:
    member = Member(1, "x", "a")
    hello = {
        "capabilities": {"resources": {"subscribe": True}, "tasks": {}},
        "instructions": "Mind the gap.",
    }

    known = opened_result("b", "Ours.", [(member, hello)])
    unknown = opened_result("b", "", [(member, None)])

    assert known["capabilities"] == {
        "tools": {"listChanged": True},
        "resources": {"listChanged": True, "subscribe": True},
    }
    assert known["instructions"] == "Ours.\n\n## a\n\nMind the gap."
    assert set(unknown["capabilities"]) == {"tools", "prompts", "resources"}
    assert "instructions" not in unknown


def test_a_member_that_failed_is_tried_again_after_ever_longer_waits() -> None:
    breaker = Breaker()
    breaker.failed(100.0)

    assert not breaker.is_closed
    assert not breaker.is_due(100.0 + FIRST_S / 2)
    assert breaker.is_due(100.0 + FIRST_S)
    breaker.failed(100.1)
    assert breaker.is_due(100.0 + FIRST_S), "the same failure, met twice"
    at = 200.0
    for _ in range(20):
        at += LONGEST_S
        breaker.failed(at)
    assert not breaker.is_due(at + LONGEST_S - 1)
    assert breaker.is_due(at + LONGEST_S)
    breaker.succeeded()
    assert breaker.is_closed


def test_calls_beyond_a_servers_rate_wait_until_its_allowance_is_filled_up() -> None:
    quotas = Quotas()
    route = Route(7, "x", 5, "running", "", limits={"calls_per_second": 2.0})

    def enters(now: float) -> bool:
        try:
            quotas.enter(route, now)
        except LimitedError:
            return False
        quotas.leave(7)
        return True

    assert [enters(now) for now in (10.0, 10.0, 10.0, 10.5, 10.5, 99.0)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]


BUNDLE = Route(
    0, "a", 5, "running", "", bundle_id=3, members=(Member(1, "a", "a"),), separator="_"
)
SERVER = Route(3, "a", 5, "running", "")
TABLE = RoutingTable(
    routes={"a": SERVER},
    endpoint_keys={},
    user_keys={},
    loaded_at=0.0,
    bundles={"a": BUNDLE},
    bundle_keys={},
)


def test_a_bundles_key_opens_the_bundle_and_no_server_of_the_same_name_or_number() -> (
    None
):

    TABLE.bundle_keys[key_hash("bundle")] = 3
    TABLE.endpoint_keys[key_hash("server")] = 3

    def opens(key: str, *, is_bundle: bool) -> Admission | Denial:
        return admit(TABLE, b"", key, "a", at=0.0, is_bundle=is_bundle)

    assert opens("bundle", is_bundle=True) == Admission(BUNDLE, "bundle:3")
    assert opens("bundle", is_bundle=False) is Denial.NOT_FOUND
    assert opens("server", is_bundle=True) is Denial.NOT_FOUND
    assert opens("server", is_bundle=False) == Admission(SERVER, "server:3")


def test_a_snapshot_keeps_bundles() -> None:
    snapshot = Snapshot()
    member = Member(
        1, "x", "a", tools=frozenset({"t"}), overrides={"t": Override("n", "d")}
    )
    route = Route(0, "b", 5, "running", "", bundle_id=3, members=(member,))

    snapshot.save(RoutingTable({}, {}, {}, 0.0, {"b": route}, {b"k": 3}))

    kept = snapshot.load()
    assert kept is not None
    assert kept.bundles == {"b": route}
    assert kept.bundle_keys == {b"k": 3}
