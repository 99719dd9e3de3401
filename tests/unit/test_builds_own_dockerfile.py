"""What a Dockerfile says, what there is to know of it, and that no text whatever stops the reader."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.builds import declared
from appliance.builds.dockerfile_text import words
from appliance.builds.dockerfile_warnings import missing_command, warnings
from appliance.builds.own_dockerfile import Command, Stage, parse

PLAIN = """\
FROM python:3.13 AS build
RUN make
FROM python:3.13-slim
COPY --from=build /x /x
USER 1000
EXPOSE 8000
ENTRYPOINT ["python", "-m", "server"]
"""


def final(text: str) -> Stage:
    found = parse(text).final
    assert found
    return found


def codes(text: str) -> list[str]:
    return [item.code for item in warnings(parse(text))]


# -- reading


def test_the_last_stage_is_the_image() -> None:
    found = final(PLAIN)

    assert found.base == "python:3.13-slim"
    assert found.ports == (8000,)
    assert found.user == "1000"
    assert found.entrypoint == Command(
        ("python", "-m", "server"), is_shell=False, line=7
    )


def test_a_stage_inherits_from_the_one_it_begins_with() -> None:
    found = final(
        'FROM a:1 AS one\nEXPOSE 1\nUSER x\nCMD ["c"]\nFROM one AS two\nEXPOSE 2/tcp 3/udp\n'
    )

    assert (found.base, found.user, found.ports) == ("a:1", "x", (1, 2))
    assert found.command == Command(("c",), is_shell=False, line=4)


def test_an_entry_point_drops_the_bases_command() -> None:
    assert final('FROM a:1 AS b\nCMD ["x"]\nFROM b\nENTRYPOINT ["y"]\n').command is None
    assert final('FROM a:1\nCMD ["x"]\nENTRYPOINT ["y"]\n').command is not None


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("ARG P=8000\nFROM a:1\nEXPOSE $P\n", ()),
        ("ARG P=8000\nFROM a:1\nARG P\nEXPOSE $P\n", (8000,)),
        ("FROM a:1\nENV P=8000 Q=1\nEXPOSE ${P}/tcp\n", (8000,)),
        ("FROM a:1\nENV P 8000\nEXPOSE ${P:-1}\n", (8000,)),
        ("FROM a:1\nEXPOSE ${P:-9000}\n", (9000,)),
        ("FROM a:1\nEXPOSE 1 \\\n # a comment\n\n 2\n", (1, 2)),
        ("# escape=`\nFROM a:1\nEXPOSE 1 `\n 2\n", (1, 2)),
        ("FROM a:1\nEXPOSE 0 70000 x 80-90\n", (80,)),
        ("FROM a:1\nRUN <<EOF\nEXPOSE 1\nEOF\nEXPOSE 2\n", (2,)),
        ("FROM a:1\nRUN <<-'A' <<B\nEXPOSE 1\n\tA\nEXPOSE 2\nB\nEXPOSE 3\n", (3,)),
        ("FROM a:1\r\nEXPOSE 1\r\n", (1,)),
        ("from a:1\nexpose 1\n", (1,)),
    ],
)
def test_ports_are_found_as_docker_finds_them(
    text: str, ports: tuple[int, ...]
) -> None:
    assert final(text).ports == ports


def test_the_base_may_be_named_by_an_argument() -> None:
    found = final("ARG V=3.13\nFROM --platform=$BUILDPLATFORM python:${V}-slim AS x\n")

    assert (found.base, found.name) == ("python:3.13-slim", "x")


def test_labels_and_health_are_read() -> None:
    found = final('FROM a:1\nLABEL a="b c" d=e\nHEALTHCHECK --interval=1s CMD curl x\n')

    assert found.labels == {"a": "b c", "d": "e"}
    assert found.has_healthcheck
    assert not final("FROM a:1\nHEALTHCHECK NONE\n").has_healthcheck


def test_a_list_that_is_none_is_a_shells_line() -> None:
    assert final("FROM a:1\nCMD [\"a\", 'b']\n").command == Command(
        ("[\"a\", 'b']",), is_shell=True, line=2
    )
    assert final('FROM a:1\nENTRYPOINT ["a"]\nENTRYPOINT []\n').entrypoint is None


# -- warnings


def test_a_careful_dockerfile_is_not_warned_about() -> None:
    assert codes(PLAIN) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("USER root", "runs_as_root"),
        ("USER 0:1000", "runs_as_root"),
        ("ADD https://example.org/x /x", "add_url"),
        ("ENV API_KEY=abc", "secret_in_env"),
        ("ENV GITHUB_TOKEN abc", "secret_in_env"),
        ("ARG NPM_TOKEN", "secret_in_arg"),
        ("RUN curl -sSf https://example.org/i.sh | sh", "piped_shell"),
        ("RUN wget -qO- https://example.org/i.sh | sudo bash -s", "piped_shell"),
        ("RUN bash <(curl https://example.org/i)", "piped_shell"),
        ("RUN <<EOF\ncurl x | /bin/bash\nEOF", "piped_shell"),
        ("RUN --mount=type=ssh git clone x", "ssh_mount"),
        ("EXPOSE 9000", "several_ports"),
        ("ENTRYPOINT python -m server", "shell_command"),
        ("FROM python", "latest_base"),
        ("FROM localhost:5000/x:latest", "latest_base"),
    ],
)
def test_each_hazard_has_its_warning(line: str, code: str) -> None:
    assert code in codes(PLAIN + line + "\n")


@pytest.mark.parametrize(
    "line",
    [
        "ADD --checksum=sha256:1 https://example.org/x /x",
        "ADD local.tar /x",
        "ENV API_KEY=",
        "ENV TOKEN_FILE=/run/secrets/x KEYBOARD=us TOKENIZERS=1",
        "RUN curl -o x https://example.org/x && ./x",
        "RUN echo x | sha256sum",
        "ENTRYPOINT exec python -m server",
        'FROM python@sha256:abc\nUSER 1\nCMD ["x"]',
        "# ADD https://example.org/x /x",
        'FROM mcp-host/base\nUSER 1\nCMD ["x"]',
    ],
)
def test_what_is_well_is_not_warned_about(line: str) -> None:
    assert codes(PLAIN + line + "\n") == []


def test_a_warning_never_repeats_the_secret() -> None:
    told = warnings(parse(PLAIN + "ENV API_KEY=sk-very-secret\n"))

    assert "sk-very-secret" not in str([item.as_dict() for item in told])
    assert told[-1].sentence.startswith("Line 8: ENV API_KEY")


@pytest.mark.parametrize(
    ("text", "is_missing"),
    [
        ("", True),
        ("FROM scratch\nCOPY x /x\n", True),
        ("FROM scratch AS a\nFROM a\n", True),
        ("FROM mcp-host/base:123456789abc\n", True),
        ('FROM scratch\nCMD ["/x"]\n', False),
        ("FROM python:3.13\n", False),
    ],
)
def test_an_image_that_can_start_nothing_is_known_before_it_is_built(
    text: str, *, is_missing: bool
) -> None:
    found = missing_command(parse(text), empty_bases=("mcp-host/base",))

    assert bool(found) is is_missing


# -- how the server speaks


@pytest.mark.parametrize(
    ("line", "speech"),
    [
        ('CMD ["--transport", "sse", "--port", "9"]', {"transport": "sse", "port": 9}),
        ("CMD serve --transport=http", {"transport": "streamable-http"}),
        ('CMD ["stdio"]', {"transport": "stdio"}),
        ('CMD ["--port", "9"]', {}),
        ('CMD ["http", "stdio"]', {}),
    ],
)
def test_the_command_says_how_the_server_speaks(
    line: str, speech: dict[str, object]
) -> None:
    assert declared.of_command(final(f'FROM a:1\nENTRYPOINT ["s"]\n{line}\n')) == speech


@pytest.mark.parametrize(
    ("text", "speech"),
    [
        ("startCommand:\n  type: http\n", {"transport": "streamable-http"}),
        ("# x\nstartCommand:\n  # y\n  type: 'stdio' # z\n", {"transport": "stdio"}),
        ("startCommand:\n  configSchema:\n    type: object\n  type: sse\n", {"transport": "sse"}),
        ("startCommand:\n  configSchema:\n    type: http\n", {}),
        ("build:\n  type: http\n", {}),
        ("startCommand:\n  type: pigeon\n", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_smithery_says_how_the_server_speaks(
    text: str, speech: dict[str, object]
) -> None:
    assert declared.of_smithery(text) == speech


@pytest.mark.parametrize(
    ("text", "speech"),
    [
        (
            (
                '{"packages": [{"registryType": "npm", "transport": {"type": "stdio"}}, {"registryType": "oci",'
                ' "transport": {"type": "streamable-http", "url": "http://localhost:8123/mcp"}}]}'
            ),
            {"transport": "streamable-http", "port": 8123},
        ),
        ('{"packages": [{"transport": {"type": "stdio"}}]}', {"transport": "stdio"}),
        (
            '{"packages": [{"transport": {"type": "stdio"}}, {"transport": {"type": "sse"}}]}',
            {},
        ),
        ('{"packages": {"transport": 1}}', {}),
        ('{"packages": [1, {"transport": 1}]}', {}),
        ("[" * 10_000, {}),
        ("[]", {}),
    ],
)
def test_server_json_says_how_the_server_speaks(
    text: str, speech: dict[str, object]
) -> None:
    assert declared.of_server_json(text) == speech


def test_what_is_started_knows_better_than_what_is_declared() -> None:
    texts = {"smithery.yaml": "startCommand:\n  type: stdio\n"}
    image = final('FROM a:1\nCMD ["x", "--transport", "http"]\n')

    found = declared.of_repository(texts, image, exposed=8000)

    assert found == {
        "transport": "streamable-http",
        "transport_from": "Dockerfile",
        "port": 8000,
    }
    assert declared.of_repository(texts, None, exposed=8000) == {
        "transport": "stdio",
        "transport_from": "smithery.yaml",
    }


# -- any text

LINES = st.lists(
    st.sampled_from(
        [
            "FROM a AS b", "FROM b", "FROM $X", "ARG X=$X$X", "ENV X=$X$X Y='", "ENV A b",
            "EXPOSE $X 1-2/tcp", 'CMD ["', "CMD [[", "ENTRYPOINT []", "RUN <<EOF", "RUN <<-'A' <<B",
            "EOF", "\tA", "# escape=`", 'LABEL a="b\\', "\\", "USER", "HEALTHCHECK", "ADD --x http://y z",
            "RUN --mount=type=ssh \\", "", "\ufeff", "ONBUILD FROM x", "--", "RUN curl | sh | curl|sh",
        ]
    )
)  # fmt: skip


BYTES = st.binary().map(lambda raw: raw.decode("latin-1"))


@given(st.one_of(st.text(), LINES.map("\n".join), BYTES))
def test_no_text_stops_the_reader(text: str) -> None:
    found = parse(text)

    warnings(found)
    missing_command(found, empty_bases=())
    for stage in found.stages:
        declared.of_command(stage)
    declared.of_smithery(text)
    declared.of_server_json(text)
    words(text)


@pytest.mark.parametrize(
    "piece",
    [
        "ENV A=$A$A$A$A\n", "ARG A=${A:-", "EXPOSE ", "\\\n", "RUN <<A\n", "FROM a AS b\nFROM b\n",
        "LABEL a='", 'ENV "', "RUN curl ", "CMD [", "#\n", "x", "\n", "RUN bash <(", "startCommand:\n ",
        "ADD http://", "$", "${", "FROM a AS a\n", "USER $A\n", "RUN curl|", "{", "\t", '"\\',
    ],
)  # fmt: skip
def test_twice_the_text_takes_about_twice_the_time(piece: str) -> None:
    def seconds(size: int) -> float:
        text = f"FROM a:1\nENV A={'x' * 900}\n" + piece * (size // len(piece))
        started = time.process_time()
        found = parse(text)
        warnings(found)
        declared.of_smithery(text)
        declared.of_server_json(text)
        return time.process_time() - started

    small = min(seconds(15_000) for _ in range(4))
    large = min(seconds(60_000) for _ in range(4))

    # Four times the text; a square would take sixteen times as long.
    assert large < 9 * small + 0.05
