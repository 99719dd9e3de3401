"""A tool that crashes is asked again; one that refuses is believed."""

from pathlib import Path

import pytest

from appliance.egress import command, firewall, links
from appliance.egress.config import EgressConfig
from appliance.egress.errors import NoRightsError
from appliance.egress.policies import Board

CRASH, REFUSAL = "nft ended with -11", "Error: Operation not permitted"


class _NoLog:
    group = 7


def asked(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Have the table made by a tool that says these, and return what it was not asked for."""
    left = list(answers)
    monkeypatch.setattr(links, "has_rights", lambda: True)
    monkeypatch.setattr(command, "has", lambda _: True)
    monkeypatch.setattr(command, "run", lambda *_, **__: left.pop(0))
    monkeypatch.setattr(firewall, "PacketLog", _NoLog)
    config = EgressConfig({}, "mcp0123ab-", "10.0.0.0/18", (), str(Path("state")))
    firewall.Firewall(config, Board(), dns_port=5, tcp_port=6).make()
    return left


def test_a_tool_that_crashes_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, CRASH, CRASH, "", "not asked for") == ["not asked for"]


def test_one_that_always_crashes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoRightsError, match="ended with -11"):
        asked(monkeypatch, CRASH, CRASH, CRASH)


def test_one_that_refuses_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoRightsError, match="not permitted"):
        asked(monkeypatch, REFUSAL)
