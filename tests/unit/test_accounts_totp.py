"""One-time passwords: the standard's own examples, and what is taken about now."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from appliance.accounts import totp

#: Of RFC 6238, appendix B, cut to six digits.
SECRET = b"12345678901234567890"
EXAMPLES = {
    59: "287082",
    1111111109: "081804",
    1111111111: "050471",
    1234567890: "005924",
    2000000000: "279037",
    20000000000: "353130",
}
MOMENT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(("seconds", "code"), EXAMPLES.items())
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert totp.code_at(SECRET, seconds // 30) == code


def test_a_code_is_taken_half_a_minute_around_its_time_and_no_longer() -> None:
    step = int(MOMENT.timestamp()) // 30
    code = totp.code_at(SECRET, step)

    taken = {
        late: totp.step_of(SECRET, code, MOMENT + timedelta(seconds=late)) == step
        for late in (-60, -30, 0, 30, 59, 60, 90)
    }

    assert taken == {-60: False, -30: True, 0: True, 30: True, 59: True, 60: False, 90: False}  # fmt: skip
    assert totp.step_of(SECRET, f" {code[:3]} {code[3:]} ", MOMENT) == step
    assert totp.step_of(SECRET, "", MOMENT) is None
    assert totp.step_of(SECRET, "\u0660" * 6, MOMENT) is None


def test_apps_read_the_secret_from_the_address() -> None:
    found = urlsplit(totp.uri(SECRET, "ada@example.org"))

    assert (found.scheme, found.netloc) == ("otpauth", "totp")
    assert parse_qs(found.query) == {
        "secret": ["GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"],
        "issuer": ["MCP Host"],
    }


def test_recovery_codes_are_many_different_and_typed_as_one_likes() -> None:
    codes = totp.new_recovery_codes()

    assert len(set(codes)) == 10
    assert totp.normal(f" {codes[0].upper().replace('-', ' ')} ") == totp.normal(codes[0])  # fmt: skip
