"""A server's tabs: each page below one of them."""

import pytest

from appliance.web.tabs import SERVER


@pytest.mark.parametrize(
    ("tail", "group", "tab"),
    [
        ("", "Overview", "Overview"),
        ("/health", "Overview", "Health"),
        ("/deployments/3", "Deployments", "Deployments"),
        ("/dockerfile", "Deployments", "Build"),
        ("/logs/history", "Logs", "Logs"),
        ("/secrets", "Config", "Secrets"),
    ],
)
def test_a_page_is_found_below_one_tab(tail: str, group: str, tab: str) -> None:
    groups = [item for item in SERVER if item.leads_to(tail)]
    tabs = [item for found in groups for item in found.tabs if item.leads_to(tail)]

    assert [item.word for item in groups] == [group]
    assert [item.word for item in tabs] == [tab]


def test_there_are_few_enough_to_be_read_at_a_glance() -> None:
    assert len(SERVER) <= 8
    assert max(len(group.tabs) for group in SERVER) <= 6
