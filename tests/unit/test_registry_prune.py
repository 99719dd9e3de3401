"""What pruning may remove: never what anything refers to, and all of the rest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.registry.prune import Kept, Shelf, prune_plan, strays
from appliance.registry.publications import Publication

REPOSITORY = "registry.example.org/team/time"
START = datetime(2026, 11, 21, tzinfo=UTC)


def publication(number: int, digest: str, **platforms: str) -> Publication:
    """Return the one of deployment ``number``; higher numbers are newer."""
    return Publication(
        server_id=7,
        deployment_id=number,
        repository=REPOSITORY,
        tag=f"v{number}",
        digest=digest,
        platforms=platforms,
        published_at=START + timedelta(hours=number),
    )


NEW = publication(3, "L3", amd64="A3")
MIDDLE = publication(2, "L2", amd64="A2", arm64="R2")
OLD = publication(1, "L1", amd64="A1", arm64="R1")
ALL = [NEW, MIDDLE, OLD]
SHELF = Shelf(
    children={
        "L3": frozenset({"A3"}),
        "L2": frozenset({"A2", "R2"}),
        "L1": frozenset({"A1", "R1"}),
    },
    tags={"v3": "L3", "v2": "L2", "v1": "L1"},
)


def deleted(
    kept: Kept, shelf: Shelf = SHELF, found: list[Publication] = ALL
) -> set[str]:
    return set(prune_plan(found, kept, shelf).digests)


def test_what_nothing_refers_to_goes_with_all_its_platforms() -> None:
    plan = prune_plan(ALL, Kept(), SHELF)

    assert plan.publications == (MIDDLE, OLD)
    assert set(plan.digests) == {"L2", "A2", "R2", "L1", "A1", "R1"}


def test_lists_go_before_what_they_name() -> None:
    order = prune_plan(ALL, Kept(), SHELF).digests

    for listed, platforms in (("L2", ("A2", "R2")), ("L1", ("A1", "R1"))):
        assert all(order.index(listed) < order.index(item) for item in platforms)


def test_the_newest_stays_though_nobody_refers_to_it_yet() -> None:
    assert deleted(Kept(), found=[NEW]) == set()


def test_what_was_published_for_a_deployment_stays_whole() -> None:
    assert deleted(Kept(deployments=frozenset({1}))) == {"L2", "A2", "R2"}


def test_who_refers_to_one_platform_keeps_the_list_as_well() -> None:
    assert deleted(Kept(frozenset({"R1"}))) == {"L2", "A2", "R2"}


def test_a_platform_that_a_kept_list_shares_stays_when_the_other_list_goes() -> None:
    rebuilt = publication(2, "L2", amd64="A3", arm64="R2")
    shelf = Shelf(children={**SHELF.children, "L2": frozenset({"A3", "R2"})})

    assert deleted(Kept(), shelf, [NEW, rebuilt]) == {"L2", "R2"}


def test_an_architecture_that_is_no_longer_produced_goes() -> None:
    assert deleted(Kept(), found=[NEW, MIDDLE]) == {"L2", "A2", "R2"}


def test_what_somebody_elses_tag_names_stays() -> None:
    shelf = Shelf(SHELF.children, {**SHELF.tags, "prod": "L1"})

    assert deleted(Kept(), shelf) == {"L2", "A2", "R2"}


def test_a_tag_that_moved_on_protects_where_it_points_and_not_where_it_was() -> None:
    shelf = Shelf(SHELF.children, {"v3": "L3", "v2": "L3", "v1": "L1"})

    assert deleted(Kept(), shelf) == {"L2", "A2", "R2", "L1", "A1", "R1"}


def test_attachments_go_with_what_they_are_attached_to_and_stay_with_it() -> None:
    shelf = Shelf(
        {**SHELF.children, "I1": frozenset({"S1"})},
        SHELF.tags,
        {
            "L1": frozenset({"I1", "S1"}),
            "S1": frozenset({"SS1"}),
            "L3": frozenset({"S3"}),
        },
    )

    assert deleted(Kept(), shelf, [NEW, OLD]) == {"L1", "A1", "R1", "I1", "S1", "SS1"}
    assert deleted(Kept(frozenset({"SS1"})), shelf, [NEW, OLD]) == set()


@pytest.mark.parametrize(
    "image",
    [
        f"{REPOSITORY}:v1",
        f"{REPOSITORY}@L1",
        f"{REPOSITORY}:v1@L1",
        f"{REPOSITORY}:gone@L1",
        f"{REPOSITORY}@R1",
    ],
)
def test_an_image_that_a_server_is_made_of_stays(image: str) -> None:
    assert deleted(Kept(images=frozenset({image}))) == {"L2", "A2", "R2"}


@pytest.mark.parametrize("image", ["", "busybox", f"{REPOSITORY}2:v1", "other/x:v1"])
def test_images_from_elsewhere_keep_nothing_here(image: str) -> None:
    assert deleted(Kept(images=frozenset({image}))) == deleted(Kept())


def test_only_tags_of_this_box_that_nobody_remembers_are_strays() -> None:
    tags = {"box-1": "L1", "box-3": "L3", "my-box-1": "L2", "box-": "L2", "box": "L2"}
    known = [replace(NEW, tag="box-3")]

    (found,) = strays(known, Shelf(SHELF.children, tags), owner="box", server_id=7)

    assert found.deployment_id == 1
    assert found.digests == {"L1", "A1", "R1"}


def test_while_something_is_on_its_way_nothing_goes() -> None:
    assert deleted(Kept(is_busy=True)) == set()


# -- whatever there is

_names = st.sampled_from([f"{kind}{n}" for kind in "LARS" for n in range(6)])
_sets = st.frozensets(_names, max_size=3)
_graph = st.dictionaries(_names, _sets, max_size=8)
_publications = st.lists(
    st.builds(
        lambda number, digest, platforms: publication(number, digest, **platforms),
        st.integers(0, 5),
        _names,
        st.dictionaries(st.sampled_from(["amd64", "arm64", "s390x"]), _names),
    ),
    max_size=6,
    unique_by=lambda item: item.digest,
)
_shelves = st.builds(
    Shelf,
    _graph,
    st.dictionaries(st.sampled_from([f"v{n}" for n in range(6)] + ["prod"]), _names),
    _graph,
)
_images = st.frozensets(_names.map(lambda name: f"{REPOSITORY}@{name}"), max_size=2)
_kept = st.builds(Kept, _sets, _images, st.frozensets(st.integers(0, 5), max_size=2))


def walk(roots: set[str], shelf: Shelf) -> set[str]:
    """Return what can be reached, as slowly and plainly as it can be said."""
    found = set(roots)
    for _ in range(100):
        for digest in list(found):
            found |= shelf.children.get(digest, frozenset())
            found |= shelf.referrers.get(digest, frozenset())
    return found


@given(_publications, _kept, _shelves)
def test_nothing_that_is_referred_to_is_ever_removed(
    publications: list[Publication], kept: Kept, shelf: Shelf
) -> None:
    plan = prune_plan(publications, kept, shelf)

    referred = set(kept.digests) | {item.partition("@")[2] for item in kept.images}
    wanted = set(referred)
    for item in publications[:1]:
        wanted |= item.digests
    for item in publications:
        if item.deployment_id in kept.deployments:
            wanted |= item.digests
        if not walk(set(item.digests), shelf).isdisjoint(referred):
            wanted |= item.digests
    ours = {(item.tag, item.digest) for item in publications}
    wanted |= {
        digest for tag, digest in shelf.tags.items() if (tag, digest) not in ours
    }
    assert walk(wanted, shelf).isdisjoint(plan.digests)


@given(_publications, _kept, _shelves)
def test_what_goes_belongs_to_what_goes_and_lists_go_first(
    publications: list[Publication], kept: Kept, shelf: Shelf
) -> None:
    plan = prune_plan(publications, kept, shelf)

    gone = {digest for item in plan.publications for digest in item.digests}
    assert set(plan.digests) <= walk(gone, shelf)
    assert {item.digest for item in plan.publications} <= set(plan.digests)
    assert len(set(plan.digests)) == len(plan.digests)


@given(_publications, _kept, _shelves)
def test_done_twice_it_removes_nothing_more(
    publications: list[Publication], kept: Kept, shelf: Shelf
) -> None:
    first = prune_plan(publications, kept, shelf)
    left = [item for item in publications if item not in first.publications]

    assert prune_plan(left, kept, shelf).publications == ()
