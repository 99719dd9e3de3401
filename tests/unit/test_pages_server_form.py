"""A server's form: what it shows is what it reads."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import InvalidError
from appliance.runtimes.model import Transport
from appliance.servers.model import CallLimits, ServerConfig, SessionMode
from appliance.servers.pinning.policy import PinningMode
from appliance.web.server_form import config_values, read_config

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
names = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
configs = st.builds(
    ServerConfig,
    arguments=st.lists(texts, max_size=4).map(tuple),
    environment=st.dictionaries(names, texts, max_size=4),
    cpu_limit=st.sampled_from([0.25, 0.5, 1.0, 1.125, 16.0]),
    memory_limit_bytes=st.integers(16 * 1024**2, 64 * 1024**3),
    transport=st.sampled_from(
        [None, Transport.STDIO, Transport.STREAMABLE_HTTP, Transport.SSE]
    ),
    port=st.none() | st.integers(1, 65535),
    path=st.sampled_from(["/mcp", "/", "/a/b"]),
    tools=st.none() | st.lists(names, max_size=3, unique=True).map(tuple),
    session_mode=st.sampled_from(SessionMode),
    listed=st.booleans(),
    trace_bodies=st.booleans(),
    pinning=st.sampled_from(PinningMode),
    limits=st.builds(
        CallLimits,
        calls_per_second=st.sampled_from([None, 0.5, 100.0, 1_000_000.0]),
        concurrency=st.none() | st.integers(1, 1_000_000),
        body_bytes=st.none() | st.integers(1024, 100 * 1024**2),
        timeout_s=st.sampled_from([None, 0.1, 90.0]),
    ),
)


@given(configs)
def test_saving_a_form_that_nobody_touched_changes_nothing(
    config: ServerConfig,
) -> None:
    # As a browser sends it: lines end with CR LF.
    form = {
        name: value.replace("\n", "\r\n")
        for name, value in config_values(config).items()
    }

    assert read_config(form) == config


def test_a_line_in_quotation_marks_is_json_text() -> None:
    form = {"arguments": 'plain\n"two\\nlines"', "environment": 'A="x\\ty"\nB=a="b"'}

    config = read_config(form)

    assert config.arguments == ("plain", "two\nlines")
    assert config.environment == {"A": "x\ty", "B": 'a="b"'}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"arguments": 'fine\n"not closed'}, "line 2: "),
        ({"environment": 'A=1\n\nB="'}, "line 3: "),
        ({"environment": "NOVALUE"}, "line 1: write NAME=value"),
        ({"session_mode": "alone"}, "choose one of the list"),
        ({"pinning": "trust"}, "choose one of the list"),
        ({"concurrency": "a few"}, "give 1 to 1,000,000 calls at once"),
        ({"body_bytes": "10"}, "give 1,024 to"),
        ({"timeout_s": "nan"}, "give 0.1 to 3,600 seconds"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(form: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidError) as caught:
        read_config(form)

    assert said in "".join(caught.value.fields.values())
