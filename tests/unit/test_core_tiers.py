"""Tiers and digests: what names what."""

import pytest

from appliance.core.digests import address_digest, artifact_digest, is_digest
from appliance.core.tiers import is_pattern, matches

A, B = (f"sha256:{letter * 64}" for letter in "ab")


@pytest.mark.parametrize(
    ("pattern", "is_named"),
    [
        ("*", True),
        ("gold:*", True),
        ("*:npm", True),
        ("GOLD:NPM", True),
        ("silver:*", False),
        ("*:git", False),
    ],
)
def test_pattern_names_the_tiers_that_it_says(pattern: str, *, is_named: bool) -> None:
    assert is_pattern(pattern)
    assert matches("gold:npm", pattern) is is_named


@pytest.mark.parametrize("text", ["", "gold", "npm", "gold:", "bronze:npm", "g*:npm"])
def test_what_names_no_tier_is_no_pattern(text: str) -> None:
    assert not is_pattern(text)


def test_what_was_pushed_is_known_by_its_manifest() -> None:
    assert artifact_digest(A, {"linux/amd64": B}, "linux/amd64") == A


def test_what_stayed_here_is_known_by_the_image_of_the_boxs_platform() -> None:
    images = {"linux/amd64": A, "linux/arm64": B}
    assert artifact_digest(None, images, "linux/arm64") == B


def test_only_image_counts_whatever_its_platform() -> None:
    assert artifact_digest(None, {"linux/arm64": B}, "linux/amd64") == B


def test_build_that_came_to_nothing_has_no_digest() -> None:
    assert artifact_digest(None, {}, "linux/amd64") is None
    assert artifact_digest(None, {"linux/amd64": ""}, "linux/amd64") is None


def test_address_has_a_digest_of_its_own() -> None:
    one, other = (address_digest(f"https://{name}/mcp") for name in ("a", "b"))
    assert is_digest(one)
    assert one != other
