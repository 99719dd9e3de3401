"""What a tool answered, as expectations look at it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from appliance.core.errors import InvalidError

#: What of an answer an expectation looks at.
TEXT, STRUCTURED, RESULT = "text", "structured", "result"
PARTS = (TEXT, STRUCTURED, RESULT)


@dataclass(frozen=True)
class Verdict:
    """What came of a comparison."""

    #: From 0 to 1; 1: exactly as expected.
    score: float
    #: What is wrong, in words; empty: nothing.
    problem: str = ""

    @property
    def is_passed(self) -> bool:
        """Whether it is as expected."""
        return not self.problem


@dataclass(frozen=True)
class Answer:
    """What came of one call."""

    #: The result of ``tools/call``; empty where the call was refused.
    result: Mapping[str, Any] = field(default_factory=dict)
    #: Of the JSON-RPC error that refused the call; 0: none.
    rpc_code: int = 0
    #: What that says.
    rpc_message: str = ""

    @property
    def error_class(self) -> str:
        """``tool_error``, ``rpc_error``, or empty: it went well."""
        if self.rpc_message or self.rpc_code:
            return "rpc_error"
        return "tool_error" if self.result.get("isError") is True else ""

    @property
    def is_error(self) -> bool:
        """Whether it is an error, of whichever kind."""
        return bool(self.error_class)

    @cached_property
    def text(self) -> str:
        """All that it says as text, one block after another."""
        if self.error_class == "rpc_error":
            return self.rpc_message
        content = self.result.get("content")
        blocks = content if isinstance(content, list) else []
        return "\n".join(
            str(item.get("text", ""))
            for item in blocks
            if isinstance(item, dict) and item.get("type") == "text"
        )

    @cached_property
    def structured(self) -> Any:
        """Its structured content, else what its text is as JSON; ``None``: neither."""
        if "structuredContent" in self.result:
            return self.result["structuredContent"]
        try:
            return json.loads(self.text)
        except ValueError:
            return None

    def part(self, name: str) -> Any:
        """Return one of ``PARTS``."""
        if name == TEXT:
            return self.text
        return self.structured if name == STRUCTURED else dict(self.result)


def part_of(settings: Mapping[str, Any], default: str) -> str:
    """Return which part of an answer is meant.

    Raises:
        InvalidError: It is none.
    """
    part = settings.get("on", default)
    if part not in PARTS:
        raise InvalidError.field("expectation.on", f"must be one of {', '.join(PARTS)}")
    return str(part)


def text_of(settings: Mapping[str, Any], name: str, longest: int) -> str:
    """Return a setting that is text.

    Raises:
        InvalidError: It is none, empty or too long.
    """
    value = settings.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise InvalidError.field(
            f"expectation.{name}", f"must be text of 1 to {longest} characters"
        )
    return value


def shown(value: Any, longest: int = 200) -> str:
    """Return a value as it is told in a sentence."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
