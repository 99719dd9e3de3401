"""Nothing of one principal reaches another, whoever does what at the same time."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fakes.mcp_box import Box
from tests.harness.gossips import PLACES, Gossips, casts, gossips, scripts
from tests.harness.isolation import SESSION, STATELESS

FEW = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def told(shared_box: Box) -> Iterator[Gossips]:
    shared_box.forget_everything()
    with gossips(shared_box) as found:
        yield found


@FEW
@given(cast=casts, script=scripts)
def test_no_secret_reaches_another_principal(
    told: Gossips, cast: list[tuple[str, str, str]], script: list[tuple[int, str, int]]
) -> None:
    world = asyncio.run(told.world(cast).run(script))

    assert world.crossed() == []
    log = told.box.log.read_text()
    assert [secret for secret in world.secrets() if secret in log] == []


@pytest.mark.parametrize("server", PLACES)
@pytest.mark.parametrize("era", [SESSION, STATELESS])
def test_people_do_hear_their_own_secrets(told: Gossips, server: str, era: str) -> None:
    """Else the property above would hold of a gateway that carries nothing."""
    cast = [(server, "endpoint", era), (server, "owner", era)]
    script = [(0, "whisper", 0), (1, "whisper", 0), (0, "repeat", 0), (1, "read", 0)]

    world = asyncio.run(told.world(cast).run(script))
    # Alone: on pipes that several share, a question whose call cannot be told is put to nobody.
    asked = asyncio.run(told.world(cast[:1]).run([(0, "ask", 0)]))

    assert world.crossed() == []
    assert world.heard() == len(world.secrets()) == 3
    assert asked.heard() == len(asked.secrets()) == 2, asked.people


@pytest.mark.parametrize("server", PLACES)
def test_a_stolen_session_opens_nothing(told: Gossips, server: str) -> None:
    cast = [(server, "endpoint", SESSION), (server, "owner", SESSION)]

    world = asyncio.run(told.world(cast).run([(1, "steal", 0)]))

    assert world.people[1].statuses[-3:] == [404, 404, 404]
