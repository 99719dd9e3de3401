"""What a builder can do, as buildx and engines of two kinds say it; and what a disk must keep."""

from typing import Any

import pytest

from appliance.builds.board import Board
from appliance.builds.disk import bytes_by_person, unneeded
from appliance.builds.driver import abilities_of, read_inspection
from appliance.builds.emulation import explain_foreign
from appliance.builds.errors import EmulationMissingError
from appliance.builds.progress import PlainProgress
from appliance.core.images import Published, PublishedPlatform

INSPECTED = """Name:          default
Driver:        docker
Last Activity: 2026-11-21 11:28:33 +0000 UTC

Nodes:
Name:             default
Endpoint:         default
Status:           running
BuildKit version: v0.8+unknown
Platforms:        linux/amd64, linux/386, linux/arm64*, linux/mips64le
"""
AMD, ARM = "linux/amd64", "linux/arm64"
OLD = {
    "Architecture": "x86_64",
    "ServerVersion": "20.10.24",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
}
NEW = OLD | {
    "ServerVersion": "26.1.5",
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
}


def test_an_old_engine_builds_one_platform_at_a_time_and_attests_nothing() -> None:
    able = abilities_of(INSPECTED, OLD)

    assert (able.builder, able.driver, able.native) == ("default", "docker", AMD)
    assert able.platforms == (AMD, "linux/386", ARM)
    assert not able.builds_several_at_once
    assert len(able.shortcomings((AMD, ARM))) == 2
    assert able.shortcomings((AMD, "linux/s390x"))[-1] == (
        "has no emulation for linux/s390x"
    )


def test_an_engine_with_containerds_store_can_do_everything() -> None:
    able = abilities_of(INSPECTED, NEW)

    assert able.builds_several_at_once
    assert able.shortcomings((AMD, ARM)) == ()
    assert able.sentence((AMD, ARM)) == (
        "buildx builds with the driver docker, engine 26.1.5, for linux/amd64, linux/arm64."
    )


def test_a_builder_of_its_own_can_do_everything_whatever_the_engine() -> None:
    told = INSPECTED.replace("docker\n", "docker-container\n")

    assert abilities_of(told, OLD).builds_several_at_once


def test_an_engine_of_another_architecture_is_native_there() -> None:
    able = abilities_of(INSPECTED, OLD | {"Architecture": "aarch64"})

    assert able.native == ARM
    assert able.platforms[0] == ARM


def test_the_builders_name_is_not_that_of_its_node() -> None:
    told = INSPECTED.replace("Name:          default", "Name:          farm")

    assert read_inspection(told)["Name"] == "farm"


@pytest.mark.parametrize(
    "line",
    [
        'exec /bin/sh: exec format error"',
        "standard_init_linux.go:228: exec user process caused: exec format error",
        "E: arm64 can neither be executed natively nor via qemu user emulation with binfmt_misc",
    ],
)
def test_missing_emulation_is_known_by_whoever_told_of_it(line: str) -> None:
    with pytest.raises(EmulationMissingError, match="linux/arm64"):
        explain_foreign(ARM, ["before", line])


def test_the_boxs_own_programs_need_no_emulation() -> None:
    explain_foreign(None, ["exec format error"])
    explain_foreign(ARM, ["no such file"])


def test_steps_are_counted_over_all_stages_with_their_times() -> None:
    progress = PlainProgress()
    for line in (
        "#1 [internal] load build definition",
        "#4 [builder 1/3] FROM docker.io/library/base",
        "#5 [stage-1 1/2] FROM scratch",
        "#4 CACHED",
        "#6 [builder 2/3] RUN make",
        "#6 12.5 made",
        "#6 DONE 13.1s",
        "#7 [builder 3/3] RUN test",
        "#7 ERROR: process did not complete successfully: exit code: 1",
    ):
        progress.feed(line)

    assert progress.total == 5
    assert [(step.state, step.seconds) for step in progress.steps] == [
        ("cached", None),
        ("running", None),
        ("done", 13.1),
        ("failed", None),
    ]


def test_a_board_is_news_once_for_each_change() -> None:
    board = Board((AMD, ARM))
    assert board.take() is not None
    assert board.take() is None

    board.building(AMD)
    progress = PlainProgress()
    progress.feed("#4 [1/2] FROM base")
    board.progressed(AMD, progress)
    assert board.take() is not None
    board.progressed(AMD, progress)
    assert board.take() is None


def test_a_board_ends_as_the_build_ended() -> None:
    board = Board((AMD, ARM))
    board.building(AMD)
    board.ended("failed")
    assert [row["state"] for row in board.rows()] == ["failed", "cancelled"]

    board = Board((AMD,))
    board.building(AMD)
    board.built(AMD, "sha256:1")
    board.pushing()
    assert board.rows()[0]["state"] == "pushing"
    pushed = PublishedPlatform(AMD, "r@sha256:2", "sha256:2")
    board.done(
        Published("r", "1", "sha256:3", is_multi_arch=False, platforms=(pushed,))
    )
    assert (board.rows()[0]["state"], board.rows()[0]["digest"]) == ("done", "sha256:2")


def test_only_names_of_ours_that_nothing_refers_to_are_unneeded() -> None:
    tags = [
        "mcp-host/time:aa-1",
        "mcp-host/time:aa-1-linux-arm64",
        "mcp-host/time:aa-2",
        "mcp-host/time:bb-1",
        "mcp-host/base:aa",
        "mcp-host/time:aa-x",
        "debian:trixie",
    ]

    assert unneeded(tags, owner="aa", referred={2}) == tags[:2]


def test_what_images_share_counts_for_nobody() -> None:
    labels = {"mcp-host.owner": "aa", "mcp-host.person": "7"}
    found: list[dict[str, Any]] = [
        {"Size": 500, "SharedSize": 400, "Labels": labels},
        {"Size": 70, "SharedSize": -1, "Labels": labels},
        {"Size": 500, "SharedSize": 0, "Labels": labels | {"mcp-host.person": "8"}},
        {"Size": 500, "SharedSize": 0, "Labels": None},
    ]

    assert bytes_by_person(found, owner="aa")[7] == 170
