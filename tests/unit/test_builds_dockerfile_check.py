"""What a stranger's Dockerfile may not ask for."""

import json

import pytest

from appliance.builds.dockerfile_check import check_dockerfile, source_policy
from appliance.builds.errors import DockerfileRefusedError

OTHERS = "mcp-host/others:0a1b2c3d4e5f-7"

BAD = [
    f"FROM {OTHERS}",
    f"from docker.io/{OTHERS} AS x",
    f"FROM index.docker.io/{OTHERS}",
    f"FROM --platform=linux/amd64 {OTHERS}",
    f"FROM \\\n  {OTHERS}",
    f"# escape=`\nFROM `\n  {OTHERS}",
    f"FROM \\\n# a comment in between\n  {OTHERS}",
    f"FROM scratch\nCOPY --from={OTHERS} / /",
    f"FROM scratch\nCOPY --chown=1 --from={OTHERS} / /",
    f"FROM a\nRUN --mount=type=bind,from={OTHERS},target=/x cp -r /x /y",
    f"FROM a\nRUN --mount=from={OTHERS},target=/x cp -r /x /y",
    "ARG X=mcp-host/others:1\nFROM $X",
    "ARG A=mcp-\nARG B=${A}host/others:1\nFROM ${B}",
    "FROM ${NOTHING:-mcp-host/others:1}",
    "ARG SET=1\nFROM ${SET:+mcp-host/others:1}",
    'FROM "mcp-host"/others:1',
    "FROM mcp\\-host/others:1",
    # Old engines know no here-documents: there, the third line is an instruction.
    f"FROM a\nRUN <<EOF\nFROM {OTHERS}\nEOF",
    f"ONBUILD COPY --from={OTHERS} / /",
    # The shape of a base's tag, for a server that is called base.
    "FROM mcp-host/base:0a1b2c3d4e5f-7",
    "FROM ${X#y}",
    "# syntax=evil.example/frontend\nFROM a",
    "#syntax = evil.example/frontend\nFROM a",
    "// syntax=evil.example/frontend\nFROM a",
    "#!/usr/bin/x\n# syntax=evil/dockerfile:1\nFROM a",
    '{"syntax": "evil.example/frontend"}',
    "FROM a\nRUN --security=insecure id",
    "FROM a\nRUN --network=host id",
    "FROM a\nRUN \\\n --network=host id",
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_its_own_is_refused(text: str) -> None:
    with pytest.raises(DockerfileRefusedError) as caught:
        check_dockerfile(text, has_network=True)

    assert caught.value.code == "dockerfile_refused"


@pytest.mark.parametrize(
    "text",
    [
        "FROM python:3.12 AS build\nRUN pip install x\nFROM scratch\nCOPY --from=build / /\n",
        "# syntax=docker/dockerfile:1.7\nARG V=3.12\nFROM python:${V}-slim\nRUN echo mcp-host/x\n",
        "ARG BASE\nFROM ${BASE:-node:24}\nRUN --mount=type=cache,target=/root/.npm npm ci\n",
        "FROM mcp-host/base:0a1b2c3d4e5f\n",
        "FROM mcp-host/base:0a1b2c3d4e5f-linux-arm64\n",
        "FROM a\nRUN <<EOF\necho 'from here to there'\nEOF\nADD https://example.org/x /x\n",
        "FROM --platform=$BUILDPLATFORM golang AS b\nFROM scratch\nCOPY --from=b /x /x\n",
    ],
)
def test_ordinary_dockerfiles_pass(text: str) -> None:
    check_dockerfile(text, has_network=True)


def test_too_many_values_are_not_followed() -> None:
    declared = "".join(f"ARG A{n}=x\n" for n in range(20))
    reference = "".join(f"$A{n}" for n in range(20))

    with pytest.raises(DockerfileRefusedError, match="variables"):
        check_dockerfile(f"{declared}FROM {reference}", has_network=True)


@pytest.mark.parametrize(
    "source",
    ["https://example.org/x", "git@example.org:o/r", "--checksum=1 http://a/b"],
)
def test_without_network_nothing_is_added_from_there(source: str) -> None:
    with pytest.raises(DockerfileRefusedError, match="BUILD_NETWORK"):
        check_dockerfile(f"FROM a\nADD {source} /x", has_network=False)


def test_new_engines_are_told_the_same() -> None:
    rules = json.loads(source_policy(has_network=False))["rules"]

    denied = [
        rule["selector"]["identifier"] for rule in rules if rule["action"] == "DENY"
    ]
    assert "docker-image://docker.io/mcp-host/*" in denied
    assert "https://*" in denied
