"""Which manifests of a repository may go: those of publications that nothing refers to any more. Pure.

A publication is a list with its platforms. What is kept is found by walking from everything that somebody refers to, along
lists to what they name and from subjects to what is attached to them; what that walk meets never goes, whoever dropped it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from appliance.registry.publications import Publication


@dataclass(frozen=True)
class Kept:
    """What somebody refers to."""

    digests: frozenset[str] = frozenset()
    #: As people write them: ``host/namespace/name@sha256:…`` or ``host/namespace/name:tag``.
    images: frozenset[str] = frozenset()
    #: Whatever was published for these stays.
    deployments: frozenset[int] = frozenset()
    #: Whether something is on its way whose references are not written yet; then nothing may go.
    is_busy: bool = False

    def __or__(self, other: "Kept") -> "Kept":
        """Return what either refers to."""
        return Kept(
            self.digests | other.digests,
            self.images | other.images,
            self.deployments | other.deployments,
            self.is_busy or other.is_busy,
        )


class References(Protocol):
    """Somebody who refers to what was pushed: deployments, the ledger, stages, certifications."""

    def kept(self, server_id: int) -> Kept:
        """Return what of a server's publications must stay; runs inside ``database.run``."""
        ...


@dataclass(frozen=True)
class Shelf:
    """What a repository holds, as far as it was looked at."""

    #: A list's digest to the digests that it names.
    children: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: Every tag to the digest that it names, those of attachments left out.
    tags: Mapping[str, str] = field(default_factory=dict)
    #: A digest to those of the manifests that are attached to it (``sha256-<digest>``, or by the referrers API).
    referrers: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class PrunePlan:
    """What goes."""

    publications: tuple[Publication, ...]
    #: In the order in which they are deleted: lists before what they name, so that none is ever left with a hole.
    digests: tuple[str, ...]


def named(images: Iterable[str], publications: Iterable[Publication]) -> frozenset[str]:
    """Return the digests that ``images`` name, by digest or by the tag of a publication; others' images name none."""
    wanted = set(images)
    found = {item.partition("@")[2] for item in wanted}
    for item in publications:
        # Both may stand there; then the digest counts, and the tag does no harm.
        names = {f"{item.repository}:{item.tag}", f"{item.repository}@{item.digest}"}
        if any(
            image == name or image.startswith(f"{name}@")
            for image in wanted
            for name in names
        ):
            found.add(item.digest)
    return frozenset(found - {""})


def prune_plan(
    publications: Sequence[Publication], kept: Kept, shelf: Shelf
) -> PrunePlan:
    """Return what of ``publications`` may go.

    The newest always stays: its deployment may not have been told yet.

    Args:
        publications: Of one repository, newest first.
    """
    if kept.is_busy:
        return PrunePlan((), ())
    kept |= Kept(named(kept.images, publications))
    stay = [
        item
        for number, item in enumerate(publications)
        if number == 0 or _is_kept(item, kept, shelf)
    ]
    others = [item for item in publications if item not in stay]
    roots = {digest for item in stay for digest in item.digests} | kept.digests
    roots |= _tagged_by_others(others, shelf)
    safe = reachable(roots, shelf)
    doomed = tuple(item for item in others if item.digest not in safe)
    return PrunePlan(doomed, _in_order(doomed, shelf, safe))


def strays(
    publications: Sequence[Publication], shelf: Shelf, *, owner: str, server_id: int
) -> list[Publication]:
    """Return what tags of this installation name and nobody remembers: a build ended between the tag and its record.

    Args:
        publications: All that is remembered of the repository, at least one.
        owner: This installation's id, with which its tags begin.
    """
    newest = publications[0]
    known = {item.tag for item in publications}
    found = []
    for tag, digest in sorted(shelf.tags.items()):
        prefix, _, number = tag.rpartition("-")
        if tag in known or prefix != owner or not number.isdecimal():
            continue
        children = shelf.children.get(digest, frozenset())
        found.append(
            replace(
                newest,
                server_id=server_id,
                deployment_id=int(number),
                tag=tag,
                digest=digest,
                platforms={f"stray {item}": item for item in sorted(children)},
            )
        )
    return found


def reachable(roots: Iterable[str], shelf: Shelf) -> frozenset[str]:
    """Return ``roots`` and everything that they name, and that is attached to any of it."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            waiting += shelf.children.get(digest, frozenset())
            waiting += shelf.referrers.get(digest, frozenset())
    return frozenset(found)


def _is_kept(item: Publication, kept: Kept, shelf: Shelf) -> bool:
    # Who refers to one platform, or to what is attached to it, wants the whole of it.
    whole = reachable(item.digests, shelf)
    return item.deployment_id in kept.deployments or not whole.isdisjoint(kept.digests)


def _tagged_by_others(others: Sequence[Publication], shelf: Shelf) -> set[str]:
    """Return what tags name that are not ours to remove: those that somebody else has set."""
    own = {(item.tag, item.digest) for item in others}
    return {digest for tag, digest in shelf.tags.items() if (tag, digest) not in own}


def _in_order(
    doomed: Sequence[Publication], shelf: Shelf, safe: frozenset[str]
) -> tuple[str, ...]:
    lists = [item.digest for item in doomed]
    rest = reachable({digest for item in doomed for digest in item.digests}, shelf)
    platforms = {digest for item in doomed for digest in item.platforms.values()}
    attached = sorted(
        rest - set(lists) - platforms, key=lambda d: (d not in shelf.children, d)
    )
    ordered = dict.fromkeys([*lists, *attached, *sorted(platforms)])
    return tuple(digest for digest in ordered if digest not in safe)
