"""docs/configuration.md as the settings say it. Pure: the same text on every box."""

from pathlib import Path
from typing import Any, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from appliance.settings import Settings

_HEAD = """\
# Configuration

Every setting of MCP Host, in the order of `appliance/settings.py`, from which this page is generated
(`mcp-host docs-configuration > docs/configuration.md`).

A value comes from, in this order: the process's environment, a file `.env` in the working directory, the YAML file that
`MCP_HOST_CONFIG` names (the same names as keys, in any case), the default. A name in `.env` or in the YAML file that is not
on this page is an error. An empty value means unset.

| variable | value | default | meaning |
|---|---|---|---|
"""


def configuration_markdown() -> str:
    """Return the page, with one row a setting."""
    rows = (_row(name, field) for name, field in Settings.model_fields.items())
    return _HEAD + "".join(rows)


def _row(name: str, field: FieldInfo) -> str:
    cells = (
        f"`{name.upper()}`",
        _value(field),
        _default(field),
        field.description or "",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _value(field: FieldInfo) -> str:
    kind = _without_none(field.annotation)
    if get_origin(kind) is tuple:
        return "JSON list of texts"
    if choices := _choices(kind):
        return ", ".join(f"`{choice}`" for choice in choices)
    words: dict[Any, str] = {
        bool: "`true`, `false`",
        int: "whole number",
        float: "number",
        Path: "path",
        SecretStr: "text, secret",
        str: "text",
    }
    return " ".join([words[kind], *_bounds(field)])


def _without_none(annotation: Any) -> Any:
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    is_optional = len(kinds) < len(get_args(annotation))
    return kinds[0] if is_optional else annotation


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is not None else ()


def _bounds(field: FieldInfo) -> list[str]:
    low = next((item.ge for item in field.metadata if isinstance(item, Ge)), None)
    high = next((item.le for item in field.metadata if isinstance(item, Le)), None)
    above = next((item.gt for item in field.metadata if isinstance(item, Gt)), None)
    if low is not None and high is not None:
        return [f"from {low} to {high}"]
    if low is not None:
        return [f"from {low}"]
    return [f"above {above}"] if above is not None else []


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "none, required"
    if field.default_factory is not None:
        return "depends on the box"
    value = field.default
    if value is None:
        return "unset"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
