"""Names of the document's schemas that say whose they are, where several rooms call theirs the same."""

import re
from collections.abc import Mapping
from typing import Any

REF = "#/components/schemas/"
#: Pydantic tells models of one name apart by their modules: ``appliance__web__api__builds__StepAnswer``.
_APART = "__"
#: Parts of such a module that say nothing to a reader of the document.
_UNTOLD = frozenset({"appliance", "web", "api", "model"})
_KINDS = re.compile(r"_(bodies|answers)$")


def short_names(names: Mapping[str, Any]) -> dict[str, str]:
    """Return what each schema is called: ``BuildsStepAnswer``; as it was, where two would be called the same."""
    short = {name: _short(name) for name in names}
    given = list(short.values())
    return {name: new if given.count(new) == 1 else name for name, new in short.items()}


def _short(name: str) -> str:
    *places, own = name.split(_APART)
    told = [_KINDS.sub("", place) for place in places if place not in _UNTOLD]
    words = [word for place in told for word in place.split("_")]
    return "".join(word.capitalize() for word in words) + own


def renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """Return ``schema`` with every reference to a schema, in discriminators too, by its new name."""
    if isinstance(schema, dict):
        return {key: renamed(value, names) for key, value in schema.items()}
    if isinstance(schema, list):
        return [renamed(item, names) for item in schema]
    if isinstance(schema, str) and schema.startswith(REF):
        name = schema.removeprefix(REF)
        return REF + names.get(name, name)
    return schema
