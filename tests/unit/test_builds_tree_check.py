"""What a tree of files may hold when it goes into a build."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.builds.errors import (
    CheckoutTooLargeError,
    LinkOutOfTreeError,
    SpecialFileError,
    StrangeNameError,
)
from appliance.builds.limits import Limits
from appliance.builds.tree_check import check_tree

LIMITS = Limits(max_bytes=10_000, max_files=5, timeout_s=1)


def _socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(place / "s"))


def _files(place: Path) -> None:
    for number in range(6):
        (place / str(number)).touch()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda place: os.mkfifo(place / "pipe"), SpecialFileError),
        (_socket, SpecialFileError),
        (lambda place: (place / "l").symlink_to("/etc/passwd"), LinkOutOfTreeError),
        (lambda place: (place / "l").symlink_to("../x"), LinkOutOfTreeError),
        (lambda place: (place / os.fsdecode(b"\xff")).touch(), StrangeNameError),
        (lambda place: (place / "big").write_bytes(bytes(10_001)), CheckoutTooLargeError),
        (_files, CheckoutTooLargeError),
    ],
)  # fmt: skip
def test_what_a_build_must_not_get_is_refused(
    tmp_path: Path, make: Callable[[Path], object], error: type[Exception]
) -> None:
    make(tmp_path)

    with pytest.raises(error):
        check_tree(tmp_path, "archive", LIMITS)


def test_a_neighbour_whose_name_only_begins_alike_is_outside(tmp_path: Path) -> None:
    inside, beside = tmp_path / "tree", tmp_path / "tree-of-another"
    inside.mkdir()
    beside.mkdir()
    (inside / "l").symlink_to("../tree-of-another")

    with pytest.raises(LinkOutOfTreeError):
        check_tree(inside, "repository", LIMITS)


def test_links_within_and_git_s_own_directory_pass(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").symlink_to("/etc/passwd")
    (tmp_path / "a").write_text("x")
    (tmp_path / "l").symlink_to("a")
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "nowhere").symlink_to("missing/deeper")

    check_tree(tmp_path, "repository", LIMITS)
