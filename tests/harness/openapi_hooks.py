"""What ``schemathesis`` is told about the hub that it asks; it loads this module by ``SCHEMATHESIS_HOOKS``.

No route is named here. What stands in an address is taken from the list that the same document has for it, so that most
requests are about something that there is; what a body would have fetched from strangers is replaced by something of this box,
so that made-up names are asked of no registry; and what the run itself lives by is neither removed nor changed.
"""

import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
import schemathesis
from schemathesis.core.failures import Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import CoveragePhaseData

#: One part of the address in so many is left as it was made up.
_MADE_UP = 8
_FRESH_S = 2.0
_TIMEOUT_S = 10
#: Of the requests that try one border, such as a field left out, so many are sent, then one in so many.
_BORDERS = 2
_BORDERS_AFTER = 16
#: Bytes of a request line that aiohttp reads.
_REQUEST_LINE = 8190 - len("GET  HTTP/1.1")
_PARAMETER = re.compile(r"{(\w+)}")
_PLAN: dict[str, Any] = json.loads(Path(os.environ["OPENAPI_PLAN"]).read_text())
_dice = random.Random(1)
_session = requests.Session()
_session.headers["Authorization"] = f"Bearer {_PLAN['key']}"
_known: dict[str, tuple[float, list[dict[str, Any]]]] = {}
_tried: Counter[tuple[object, ...]] = Counter()


@schemathesis.hook
def filter_case(
    context: schemathesis.HookContext,  # noqa: ARG001
    case: schemathesis.Case[Any],
) -> bool:
    """Send no more of one kind than find something."""
    if case.meta is None or not isinstance(border := case.meta.phase.data, CoveragePhaseData):  # fmt: skip
        return True
    kind = (
        case.operation.label,
        case.meta.generation.mode,
        border.scenario,
        border.parameter_location,
        border.parameter,
    )
    _tried[kind] += 1
    return _tried[kind] <= _BORDERS or not _tried[kind] % _BORDERS_AFTER


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext,  # noqa: ARG001 - as hooks are called
    case: schemathesis.Case[Any],
    kwargs: dict[str, Any],  # noqa: ARG001
) -> None:
    """Ask about what there is, and of nobody but this box."""
    for holder in _objects(case.body):
        for name, value in _PLAN["local"].items():
            if holder.get(name) and isinstance(holder[name], str):
                holder[name] = value
    if case.path_parameters and not _is_wrong_there(case):
        kinds = {item.name: item.definition["schema"]["type"] for item in case.operation.path_parameters}  # fmt: skip
        _settle(case.operation.path, case.method, case.path_parameters, kinds)


def _is_wrong_there(case: schemathesis.Case[Any]) -> bool:
    """Return whether the address is what is wrong on purpose, or may be."""
    if case.meta is None or not case.meta.generation.mode.is_negative:
        return False
    wrong = {place for place, part in case.meta.components.items() if part.mode.is_negative}  # fmt: skip
    return not wrong or ParameterLocation.PATH in wrong


def _objects(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _settle(
    template: str, method: str, values: dict[str, Any], kinds: dict[str, str]
) -> None:
    """Put what there is into the address, part by part."""
    writes = method not in {"GET", "HEAD", "OPTIONS"}
    for found in _PARAMETER.finditer(template):
        name = found[1]
        kept = list(_PLAN["kept"].get(name, [])) if writes else []
        if method == "DELETE" and found.end() == len(template):
            kept += _PLAN["alive"].get(name, [])
        if _dice.randrange(_MADE_UP):
            listed = _listed(template[: found.start() - 1], name, values, kinds[name])
            choice = [item for item in listed if item not in map(str, kept)]
            if choice:
                chosen = _dice.choice(choice)
                values[name] = int(chosen) if kinds[name] == "integer" else chosen
        if str(values.get(name)) in map(str, kept):
            values[name] = 0 if kinds[name] == "integer" else "nothing"


def _listed(collection: str, name: str, values: dict[str, Any], kind: str) -> list[str]:
    """Return what a parameter may be: as the list right above it says, else as any list of such things."""
    above = _PARAMETER.sub(
        lambda part: quote(str(values[part[1]]), safe=""), collection
    )
    places = [above] if collection in _PLAN["lists"] else _PLAN["others"].get(name, [])
    keys = [name, "id", "name"] if kind == "integer" else [name, "name", "id"]
    found = [
        str(next((item[key] for key in keys if key in item), ""))
        for place in places
        for item in _items(place)
    ]
    return [item for item in found if item and (item.isdigit() or kind != "integer")]


def _items(path: str) -> list[dict[str, Any]]:
    at, items = _known.get(path, (0.0, []))
    if time.monotonic() - at > _FRESH_S:
        answer = _session.get(_PLAN["url"] + path, timeout=_TIMEOUT_S)
        items = answer.json().get("items", []) if answer.ok else []
        _known[path] = time.monotonic(), items
    return items


@schemathesis.hook
def after_call(
    context: schemathesis.HookContext,  # noqa: ARG001
    case: schemathesis.Case[Any],
    response: schemathesis.Response,
) -> None:
    """Write down what was answered."""
    line = {
        "operation": case.operation.label,
        "status": response.status_code,
        "code": _code(response),
        "at": time.time(),
        "took": response.elapsed,
    }
    with Path(_PLAN["seen"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


@schemathesis.hook
def filter_failure(
    context: schemathesis.HookContext,  # noqa: ARG001
    failure: Failure,
    case: schemathesis.Case[Any],
    response: schemathesis.Response,
) -> bool:
    """Forgive a documented 502 or 503 that tells of somebody else's program, unknown headers, and lines too long to be read."""
    if failure.code == "ST105" and response.status_code == 400:
        # Below every route: a request line that is too long is refused before it is read.
        return len(response.request.path_url or "") < _REQUEST_LINE
    if failure.code == "ST201":
        # An unknown header is no wrong request: programs on the way add theirs.
        return "in header - object with unexpected" not in failure.message
    if failure.code != "ST101":
        return True
    documented = str(response.status_code) in case.operation.responses.status_codes
    return not (documented and _code(response) in _PLAN["forgiven"])


def _code(response: schemathesis.Response) -> str:
    try:
        return str(response.json().get("code", ""))
    except (ValueError, AttributeError):
        return ""
