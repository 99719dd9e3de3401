"""From a finished build to a row, and to what is found."""

from appliance.artifacts.records import MAX_ERROR, record_of, search_text
from appliance.artifacts.search import pattern
from appliance.builds.model import BuildState
from tests.fakes.runs import AMD, ARM, BOTH, digest, finished, images, record


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


def test_output_that_postgres_cannot_keep_is_kept_as_well_as_can_be() -> None:
    error = "bad \0 \udc80 " + "x" * 2 * MAX_ERROR

    found = record(status=BuildState.FAILED, error=error)

    assert found.error.startswith("bad � ? x")
    assert len(found.error) == MAX_ERROR


def test_a_server_that_is_gone_has_no_owner_and_the_type_of_its_source() -> None:
    found = record_of(finished(), None, BOTH)

    assert (found.owner_id, found.server_type) == (None, "package")


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


def test_what_like_takes_for_more_than_itself_is_escaped() -> None:
    assert pattern("50%_a\\") == "%50\\%\\_a\\\\%"
