"""How an answer differs from the one that was recorded. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appliance.evaluations.expectations.answer import Answer, shown
from appliance.evaluations.expectations.exact import same

#: Differences of one call that are kept.
MOST = 100
#: Depth to which values are compared one by one; below, they are compared as a whole.
MAX_DEPTH = 30


class DifferenceKind(StrEnum):
    """What differs."""

    #: It went well and does not any more, or the other way round, or is another kind of error.
    ERROR_CLASS = "error_class"
    #: A field is there or not, or is of another type.
    SHAPE = "shape"
    VALUE = "value"
    LATENCY = "latency"
    SIZE = "size"


@dataclass(frozen=True)
class Difference:
    """One difference."""

    kind: DifferenceKind
    #: Where, with every place of a list written as ``[*]``.
    path: str
    before: str
    after: str

    def as_json(self, *, is_accepted: bool) -> dict[str, Any]:
        """Return it as a result keeps it."""
        return {
            "kind": self.kind.value,
            "path": self.path,
            "before": self.before,
            "after": self.after,
            "accepted": is_accepted,
        }


@dataclass(frozen=True)
class Tolerance:
    """How much slower and larger an answer may be."""

    #: Slower by this factor and by these milliseconds.
    latency_factor: float = 3.0
    latency_ms: float = 500.0
    #: Larger or smaller by this factor and by these bytes.
    size_factor: float = 2.0
    size_bytes: int = 2048


@dataclass(frozen=True)
class Measured:
    """An answer and what it took."""

    answer: Answer
    duration_ms: float
    size_bytes: int


def differences(
    before: Measured, after: Measured, tolerance: Tolerance
) -> list[Difference]:
    """Return how an answer differs, each kind and path once; what weighs most comes first."""
    found: list[Difference] = []
    was, became = before.answer, after.answer
    if _class_of(was) != _class_of(became):
        found.append(
            Difference(
                DifferenceKind.ERROR_CLASS, "$", _class_of(was), _class_of(became)
            )
        )
    elif not was.is_error:
        found += _once(_compare("$", _content(was), _content(became), 0))
    found += _measures(before, after, tolerance)
    found.sort(key=lambda item: list(DifferenceKind).index(item.kind))
    return found[:MOST]


def _class_of(answer: Answer) -> str:
    if answer.error_class == "rpc_error":
        return f"rpc_error {answer.rpc_code}"
    return answer.error_class or "ok"


def _content(answer: Answer) -> Any:
    """Return what is compared: structured content, JSON in its text, or its blocks."""
    if answer.structured is not None:
        return answer.structured
    return answer.text or answer.result.get("content")


def _once(found: Iterator[Difference]) -> list[Difference]:
    known: dict[tuple[DifferenceKind, str], Difference] = {}
    for item in found:
        known.setdefault((item.kind, item.path), item)
    return list(known.values())


def _compare(path: str, was: Any, became: Any, depth: int) -> Iterator[Difference]:
    if _type(was) != _type(became):
        yield Difference(
            DifferenceKind.SHAPE,
            path,
            f"{_type(was)}: {shown(was)}",
            f"{_type(became)}: {shown(became)}",
        )
    elif isinstance(was, dict) and depth < MAX_DEPTH:
        yield from _compare_objects(path, was, became, depth)
    elif isinstance(was, list) and depth < MAX_DEPTH:
        yield from _compare_lists(path, was, became, depth)
    elif not same(was, became):
        yield Difference(DifferenceKind.VALUE, path, shown(was), shown(became))


def _compare_objects(
    path: str, was: Mapping[str, Any], became: Mapping[str, Any], depth: int
) -> Iterator[Difference]:
    for name in {**was, **became}:
        place = f"{path}.{name}"
        if name not in became:
            yield Difference(DifferenceKind.SHAPE, place, shown(was[name]), "missing")
        elif name not in was:
            yield Difference(
                DifferenceKind.SHAPE, place, "missing", shown(became[name])
            )
        else:
            yield from _compare(place, was[name], became[name], depth + 1)


def _compare_lists(
    path: str, was: list[Any], became: list[Any], depth: int
) -> Iterator[Difference]:
    if len(was) != len(became):
        yield Difference(
            DifferenceKind.VALUE, f"{path}.length", str(len(was)), str(len(became))
        )
    for left, right in zip(was, became, strict=False):
        yield from _compare(f"{path}[*]", left, right, depth + 1)


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if value is None:
        return "null"
    kinds = {
        dict: "object",
        list: "array",
        str: "string",
        int: "number",
        float: "number",
    }
    return kinds.get(type(value), "unknown")


def _measures(
    before: Measured, after: Measured, tolerance: Tolerance
) -> Iterator[Difference]:
    slowest = before.duration_ms * tolerance.latency_factor + tolerance.latency_ms
    if after.duration_ms > slowest:
        yield Difference(
            DifferenceKind.LATENCY,
            "$",
            f"{before.duration_ms:.0f} ms",
            f"{after.duration_ms:.0f} ms",
        )
    sizes = sorted((before.size_bytes, after.size_bytes))
    if sizes[1] > sizes[0] * tolerance.size_factor + tolerance.size_bytes:
        yield Difference(
            DifferenceKind.SIZE,
            "$",
            f"{before.size_bytes} bytes",
            f"{after.size_bytes} bytes",
        )


def told(
    found: Collection[Difference], accepted: Collection[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Return differences as a result keeps them.

    Args:
        found: What differs.
        accepted: Pairs of (path, kind) that somebody accepted for the tool.
    """
    return [
        item.as_json(is_accepted=(item.path, item.kind.value) in accepted)
        for item in found
    ]


def open_ones(found: Collection[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the differences that nobody accepted."""
    return [item for item in found if not item.get("accepted")]
