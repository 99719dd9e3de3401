"""What of an answer is kept and shown: without secrets, and of bounded size. Pure."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from appliance.core.bodies import redact
from appliance.evaluations.expectations.answer import Answer

#: Characters of an answer that are kept.
MAX_ANSWER = 16 * 1024
MAX_PROBLEM = 2000

Hiding = Callable[[str], str]


def kept_text(answer: Answer, hide: Hiding) -> str:
    """Return an answer as it is kept."""
    if answer.error_class == "rpc_error":
        return cut(redact(hide(f"{answer.rpc_code} {answer.rpc_message}")), MAX_ANSWER)
    text = json.dumps(dict(answer.result), indent=2, ensure_ascii=False)
    return cut(redact(hide(text)), MAX_ANSWER)


def kept_problem(text: str, hide: Hiding) -> str:
    """Return what is wrong, as it is kept."""
    return cut(redact(hide(text)), MAX_PROBLEM)


def kept_arguments(arguments: Mapping[str, Any], hide: Hiding) -> dict[str, Any]:
    """Return arguments as they are kept."""
    text = redact(hide(json.dumps(dict(arguments), ensure_ascii=False)))
    if len(text) > MAX_ANSWER:
        return {"…": f"{len(text)} characters"}
    try:
        found = json.loads(text)
    except ValueError:
        return {"…": "holds secrets"}
    return found if isinstance(found, dict) else {}


def cut(text: str, longest: int) -> str:
    """Return the beginning of a text; without NUL, which Postgres does not store."""
    clean = text.replace("\0", "�")
    return clean if len(clean) <= longest else f"{clean[: longest - 1]}…"
