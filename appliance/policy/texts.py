"""A document as text: YAML or JSON in, YAML out."""

from typing import Any

import yaml

from appliance.core.errors import InvalidError
from appliance.policy.document import MAX_BYTES, parse


class _Plain(yaml.SafeLoader):
    """YAML without references, by which a small text could become a large one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Return the next node; refuses references."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "references (*name) are not taken", event.start_mark
            )
        return super().compose_node(parent, index)


def read_text(text: str) -> Any:
    """Return what a text in YAML, or in JSON, which is YAML, says.

    Raises:
        InvalidError: It is neither, or too long; says where.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise InvalidError.field("document", f"give at most {MAX_BYTES // 1024} KiB")
    try:
        return yaml.load(text, Loader=_Plain)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = getattr(error, "problem", None) or "it cannot be read"
        raise InvalidError.field(
            "document", f"{where}{what}; give YAML or JSON"
        ) from None


def write_text(body: Any) -> str:
    """Return a stored document as YAML, its fields in their order, which Postgres does not keep."""
    told = parse(body).as_dict()
    return str(yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=110))
