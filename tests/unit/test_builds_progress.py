"""buildx's plain output, as it came from buildx 0.13 and engine 20.10."""

from appliance.builds.progress import PlainProgress

LINES = """#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 73B done
#1 DONE 0.0s

#4 [1/2] FROM docker.io/mcp-host/base:x
#4 CACHED

#5 [2/2] RUN echo hello; echo bad >&2; exit 3
#5 0.146 hello
#5 0.146 \x1b[31mbad\x1b[0m
#5 0.150
#5 ERROR: executor failed running [/bin/sh -c echo hello; echo bad >&2; exit 3]: exit code: 3
------
 > [2/2] RUN echo hello; echo bad >&2; exit 3:
0.146 hello
0.146 bad
------
ERROR: failed to solve: executor failed running [/bin/sh -c echo hello; echo bad >&2; exit 3]: exit code: 3
"""


def read(text: str) -> tuple[list[str], PlainProgress]:
    progress = PlainProgress()
    return [
        shown
        for line in text.splitlines()
        if (shown := progress.feed(line)) is not None
    ], progress


def test_people_read_steps_and_what_they_print_once() -> None:
    shown, _ = read(LINES)

    assert shown == [
        "[1/2] FROM docker.io/mcp-host/base:x",
        "[1/2] FROM docker.io/mcp-host/base:x (cached)",
        "[2/2] RUN echo hello; echo bad >&2; exit 3",
        "hello",
        "bad",
        "",
        "ERROR: executor failed running [/bin/sh -c echo hello; echo bad >&2; exit 3]: exit code: 3",
        "ERROR: failed to solve: executor failed running [/bin/sh -c echo hello; echo bad >&2; exit 3]: exit code: 3",
    ]


def test_the_failed_step_and_its_output_are_kept() -> None:
    _, progress = read(LINES)

    assert progress.failed_step == "[2/2] RUN echo hello; echo bad >&2; exit 3"
    assert progress.output[:2] == ["hello", "bad"]


def test_exporting_is_not_told() -> None:
    shown, progress = read(
        "#6 exporting to image\n#6 exporting layers 0.7s done\n#6 DONE 0.7s\n"
    )

    assert shown == []
    assert progress.failed_step == ""


def test_long_steps_tell_their_time_and_short_ones_do_not() -> None:
    shown, _ = read("#5 [2/2] RUN a\n#5 DONE 2.9s\n#6 [3/3] RUN b\n#6 DONE 0.1s\n")

    assert shown == ["[2/2] RUN a", "2/2 took 2.9 s", "[3/3] RUN b"]


def test_an_endless_instruction_is_cut() -> None:
    shown, _ = read(f"#5 [2/2] RUN {'x' * 1000}\n")

    assert len(shown[0]) < 200


def test_what_is_printed_without_a_step_is_kept_too() -> None:
    shown, progress = read(
        "ERROR: Cannot connect to the Docker daemon at unix:///nope. Is the docker daemon running?\n"
    )

    assert shown == progress.output
    assert progress.failed_step == ""


def test_a_stage_without_a_name_is_not_given_one() -> None:
    lines, _ = read(LINES.replace("[2/2]", "[stage-0 2/2]"))

    assert any(line.startswith("[2/2] RUN") for line in lines)
