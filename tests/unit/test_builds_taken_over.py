"""Dockerfiles that people write for a server: what they may be, and what stands for what changes."""

import pytest

from appliance.builds import taken_over
from appliance.builds.dockerfile import package_dockerfile
from appliance.core.errors import InvalidError
from appliance.sources.packages import parse_package

BASE = "mcp-host/base:0123456789ab"


def test_a_generated_dockerfile_keeps_working_when_base_and_build_change() -> None:
    source = parse_package("pypi:mcp-server-time")
    built = package_dockerfile(BASE, source, resolved_for="build-1")

    edited = taken_over.portable(built)
    again = taken_over.adapted(edited, base=f"{BASE}-linux-arm64", resolved_for="b-2")

    assert "0123456789ab" not in edited
    assert "build-1" not in edited
    assert again == package_dockerfile(
        f"{BASE}-linux-arm64", source, resolved_for="b-2"
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("FROM mcp-host/base\n", True),
        ("FROM mcp-host/base:anything AS x\n", True),
        ("# x\nfrom --platform=linux/amd64 mcp-host/base AS x\n", True),
        ("FROM mcp-host/base-of-mine\n", False),
        ("FROM mcp-host/other:1\nRUN echo FROM mcp-host/base\n", False),
        ("FROM python:3.13\n", False),
    ],
)
def test_only_a_beginning_names_the_base(text: str, *, names: bool) -> None:
    assert taken_over.names_base(text) is names


def test_a_bases_name_is_data() -> None:
    text = taken_over.adapted("FROM mcp-host/base\n", base=r"x\1:y", resolved_for="r")

    assert text == "FROM x\\1:y\n"


def test_line_ends_are_made_plain() -> None:
    assert taken_over.check("\r\nFROM a:1\r\nRUN x\r\n\r\n") == "FROM a:1\nRUN x\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begin with FROM"),
        ("RUN x\n", "begin with FROM"),
        ("# FROM a\n", "begin with FROM"),
        ("FROM a\n" + "# x\n" * 20_000, "at most 64 KiB"),
        ("FROM a\n# \x00\n", "control characters"),
        ("FROM a\n# \x1b[31m\n", "control characters"),
        ("FROM a\n# \udcff\n", "control characters"),
    ],
)
def test_what_is_no_dockerfile_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(InvalidError) as caught:
        taken_over.check(text)

    assert why in caught.value.fields["dockerfile"]
