"""Programs at the end of a pipe: what one stops reading is an end of its own, or told."""

import pytest

from appliance.infra.pipes import ProgramFailedError, glance_of, input_of

#: More than any pipe holds.
MUCH = b"x" * 4 * 1024**2


def test_who_only_glances_may_stop_reading() -> None:
    with glance_of(["head", "-c", "1"]) as stream:
        for _ in range(3):
            assert stream.write(MUCH) == len(MUCH)


def test_who_only_glances_must_still_end_well() -> None:
    with (
        pytest.raises(ProgramFailedError, match="nowhere"),
        glance_of(["cat", "/nowhere"]) as stream,
    ):
        stream.write(MUCH)


def test_who_is_to_read_all_is_told_when_it_does_not() -> None:
    with (
        pytest.raises(ProgramFailedError, match="stopped reading"),
        input_of(["head", "-c", "1"]) as stream,
    ):
        stream.write(MUCH)
