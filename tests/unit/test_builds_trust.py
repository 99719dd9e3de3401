# ruff: noqa: E501 - a case is read in one line
"""Dockerfiles that are lent the box's certificates."""

import pytest

from appliance.builds.trust import MOUNT, VARIABLES, readable, trusting

ARGS = [f"ARG {name}=/run/mcp-host/ca.pem" for name in VARIABLES]


def lent(text: str) -> list[str]:
    """Return the lines, without those that declare variables."""
    return [line for line in trusting(text).splitlines() if line not in ARGS]


def test_every_run_gets_the_certificates_and_every_stage_the_variables() -> None:
    text = "FROM a AS one\nRUN x\nCOPY . .\nFROM b\nrun y\nCMD run\n"

    assert trusting(text).splitlines() == [
        "FROM a AS one",
        *ARGS,
        f"RUN {MOUNT} x",
        "COPY . .",
        "FROM b",
        *ARGS,
        f"run {MOUNT} y",
        "CMD run",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a && \\\n    RUN b\nRUN c", [f"RUN {MOUNT} a && \\", "    RUN b", f"RUN {MOUNT} c"]),
        ("RUN a \\\n# RUN no\n\n  b\nRUN c", [f"RUN {MOUNT} a \\", "# RUN no", "", "  b", f"RUN {MOUNT} c"]),
        ("RUN \\\n  a", [f"RUN {MOUNT} \\", "  a"]),
        ("RUN <<EOF\nRUN no\nEOF\nRUN c", [f"RUN {MOUNT} <<EOF", "RUN no", "EOF", f"RUN {MOUNT} c"]),
        ("COPY <<-'A' <<B /x/\nRUN no\n\tA\nRUN no\nB\nRUN c", ["COPY <<-'A' <<B /x/", "RUN no", "\tA", "RUN no", "B", f"RUN {MOUNT} c"]),
        ("RUN --mount=type=cache,target=/x a", [f"RUN {MOUNT} --mount=type=cache,target=/x a"]),
        ('RUN ["a", "b"]', [f'RUN {MOUNT} ["a", "b"]']),
        ("# escape=`\nRUN a `\n  RUN b\nRUN c:\\", ["# escape=`", f"RUN {MOUNT} a `", "  RUN b", f"RUN {MOUNT} c:\\"]),
        ("# syntax=docker/dockerfile:1\n# RUN no\nONBUILD RUN no\nLABEL RUN=no", ["# syntax=docker/dockerfile:1", "# RUN no", "ONBUILD RUN no", "LABEL RUN=no"]),
        ("RUNX a\nENV RUN b", ["RUNX a", "ENV RUN b"]),
    ],
)  # fmt: skip
def test_instructions_are_told_from_what_looks_like_them(
    text: str, expected: list[str]
) -> None:
    assert lent(text) == expected


def test_a_step_is_named_as_its_author_wrote_it() -> None:
    assert readable(f"[2/3] RUN {MOUNT} make it so") == "[2/3] RUN make it so"
