"""From a finished build to a row, and to what is found."""

import pytest

from appliance.artifacts.records import (
    MAX_ERROR,
    pinned_source,
    record_of,
    search_text,
)
from appliance.artifacts.search import pattern, words_of
from appliance.builds.model import BuildState
from appliance.sources.spec import as_dict
from tests.fakes.runs import AMD, ARM, BOTH, digest, finished, images, record

REPOSITORY = "https://git.example.org/o/x.git"


def test_a_pushed_build_is_kept_with_its_digests() -> None:
    found = record(7)

    assert found.source_repo == "pypi:mcp-server-time==1.2.3"
    assert (found.source_kind, found.source_revision) == ("package", "1.2.3")
    assert found.manifest_digest == digest(700)
    assert found.is_multi_arch
    assert [
        (item.platform, item.image_id, item.digest) for item in found.platforms
    ] == [
        (AMD, digest(1), digest(701)),
        (ARM, digest(2), digest(702)),
    ]
    assert found.credential_health_status == "healthy"


def test_a_build_that_was_not_pushed_is_kept_without() -> None:
    found = record(published=None, images=images(AMD))

    assert found.manifest_digest is None
    assert (found.registry_image, found.credential_health_status) == ("", "")
    assert not found.is_multi_arch
    assert found.platforms[0].image_reference == ""


def test_the_parts_of_a_repository_have_columns_of_their_own() -> None:
    source = {"repo_url": "https://git.example.org/o/r.git", "branch": "main"}

    found = record(source=source, revision="abc123")

    assert found.source_repo == "https://git.example.org/o/r.git"
    assert (found.source_branch, found.source_revision) == ("main", "abc123")
    assert found.source == {"kind": "git", **source}


def test_an_archive_is_called_by_its_name_and_pinned_by_its_digest() -> None:
    source = {"archive": digest(5), "archive_name": "server.tar.gz"}

    found = record(source=source, revision=digest(5))

    assert (found.source_repo, found.source_revision) == ("server.tar.gz", digest(5))
    assert as_dict(pinned_source(found)) == {"kind": "archive", **source}


@pytest.mark.parametrize(
    ("source", "revision", "pinned"),
    [
        ({"package": "npm:@scope/x"}, "1.2.3", {"package": "npm:@scope/x@1.2.3"}),
        ({"package": "pypi:x", "as_of": "2025-05-01"}, "2.0", {"package": "pypi:x==2.0", "as_of": "2025-05-01"}),
        ({"package": "pypi:x"}, "", {"package": "pypi:x"}),
        ({"image": "ghcr.io/o/x:1"}, digest(9), {"image": f"ghcr.io/o/x:1@{digest(9)}"}),
        ({"image": "local:1"}, digest(1), {"image": "local:1"}),
        ({"repo_url": REPOSITORY, "branch": "b"}, "abc", {"repo_url": REPOSITORY, "branch": "b"}),
    ],
    ids=["npm", "pypi as of a day", "version not known", "image", "image of this box", "git"],
)  # fmt: skip
def test_a_new_server_takes_what_was_built(
    source: dict[str, str], revision: str, pinned: dict[str, str]
) -> None:
    found = as_dict(pinned_source(record(source=source, revision=revision)))

    assert {name: value for name, value in found.items() if name != "kind"} == pinned


def test_output_that_postgres_cannot_keep_is_kept_as_well_as_can_be() -> None:
    error = "bad \0 \udc80 " + "x" * 2 * MAX_ERROR

    found = record(status=BuildState.FAILED, error=error)

    assert found.error.startswith("bad � ? x")
    assert len(found.error) == MAX_ERROR


def test_a_server_that_is_gone_has_no_owner_and_the_type_of_its_source() -> None:
    found = record_of(finished(), None, BOTH)

    assert (found.owner_id, found.server_type) == (None, "pypi")


def test_all_that_names_a_run_is_searched_in_lower_case() -> None:
    text = search_text(record(1, server_name="Time-1"))

    for part in (
        "time-1",
        "npm",
        "pypi:mcp-server-time",
        "1.2.3",
        "example.org/mcp/time:7",
        digest(100),
        digest(102),
        "linux/arm64",
    ):
        assert part in text
    assert text == text.lower()


def test_a_repository_is_searched_once_and_a_reference_in_its_parts() -> None:
    found = record(1, server_name="time")
    text = search_text(found)

    assert text.count(found.registry_image) == 1
    for item in found.platforms:
        words = words_of(item.image_reference)
        assert len(words) == 2
        assert all(word in text for word in words)


def test_what_like_takes_for_more_than_itself_is_escaped() -> None:
    assert pattern("50%_a\\") == "%50\\%\\_a\\\\%"
