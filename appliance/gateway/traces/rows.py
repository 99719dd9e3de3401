"""From invocations to the lines that COPY reads. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from appliance.core.bodies import may_hold_secrets, redact
from appliance.gateway.traces.record import Invocation

COLUMNS = (
    "started_at",
    "duration_ms",
    "server_id",
    "bundle_id",
    "deployment_id",
    "principal",
    "method",
    "target",
    "http_status",
    "error_class",
    "rpc_code",
    "request_bytes",
    "response_bytes",
    "traceparent",
    "request",
    "response",
)
#: Where no server has secrets.
NO_SECRETS: Mapping[int, Callable[[str], str]] = {}
#: Rows whose bodies are searched for secrets at once.
_TOGETHER = 64
#: Letters of a text that a stranger chose and that is no body.
MOST_LETTERS = 1024
_NULL = r"\N"
#: The backslash first: the others bring new ones.
_ESCAPES = (
    ("\\", r"\\"),
    ("\t", r"\t"),
    ("\n", r"\n"),
    ("\r", r"\r"),
    ("\0", "\N{REPLACEMENT CHARACTER}"),
)
_SMALLEST_INT, _LARGEST_INT = -(2**31), 2**31 - 1
#: The latest and the earliest second that Postgres and Python can both tell.
_LATEST_S = 253_402_300_799.0


def copy_lines(
    items: Sequence[Invocation],
    hiders: Mapping[int, Callable[[str], str]] = NO_SECRETS,
) -> list[str]:
    """Return each of ``items`` as a line of COPY's text format, without secrets.

    Args:
        hiders: What hides the secrets of each server that has some, by its number.
    """
    lines: list[str] = []
    for start in range(0, len(items), _TOGETHER):
        some = items[start : start + _TOGETHER]
        shown = _way_of_showing(some)
        for item in some:
            hide = hiders.get(item.server_id)
            lines.append(_line(item, _after(hide, shown) if hide else shown))
    return lines


def _after(
    hide: Callable[[str], str], shown: Callable[[str], str]
) -> Callable[[str], str]:
    return lambda text: shown(hide(text))


def _line(item: Invocation, shown: Callable[[str], str]) -> str:
    seconds, fraction = divmod(min(max(item.started_at, 0.0), _LATEST_S), 1)
    asked = _asked(
        item.server_id,
        item.bundle_id,
        item.deployment_id,
        item.principal,
        item.method,
        item.target,
    )
    went = _went(item.http_status, item.error_class, item.rpc_code)
    request, response = item.request, item.response
    return (
        f"{_second(seconds)}.{int(fraction * 1e6):06}+00\t{item.duration_s * 1000:.3f}\t{asked}\t{went}\t"
        f"{item.request_bytes}\t{item.response_bytes}\t{_word(item.traceparent)}\t"
        # What is not text, or was cut in the middle of a letter, is shown as such.
        f"{shown(request.decode(errors='replace')) if request else _NULL}\t"
        f"{shown(response.decode(errors='replace')) if response else _NULL}\n"
    )


def _way_of_showing(items: Sequence[Invocation]) -> Callable[[str], str]:
    """Return what makes cells of these items' bodies: one look at all of them may spare a look at each."""
    bodies = [body for item in items for body in (item.request, item.response)]
    text = b" ".join(bodies).decode(errors="replace")
    if may_hold_secrets(text):
        return _redacted
    return _escaped if any(letter in text for letter, _ in _ESCAPES) else str


# Callers, methods, tools and outcomes are the same again and again.
@lru_cache(maxsize=512)
def _asked(  # noqa: PLR0917 - as many as make a call the same as another
    server_id: int,
    bundle_id: int,
    deployment_id: int,
    principal: str,
    method: str,
    target: str,
) -> str:
    return (
        f"{server_id}\t{bundle_id or _NULL}\t{deployment_id or _NULL}\t{_word(principal)}\t{_word(method)}\t"
        f"{_word(redact(target))}"
    )


@lru_cache(maxsize=512)
def _went(http_status: int, error_class: str, rpc_code: int) -> str:
    code = _NULL
    if rpc_code:
        code = str(min(max(rpc_code, _SMALLEST_INT), _LARGEST_INT))
    return f"{http_status}\t{_word(error_class)}\t{code}"


@lru_cache(maxsize=64)
def _second(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


@lru_cache(maxsize=512)
def _word(text: str) -> str:
    if len(text) > MOST_LETTERS:
        text = text[: MOST_LETTERS - 1] + "…"
    return text if text.isalnum() else _escaped(text)


def _escaped(text: str) -> str:
    # Five searches for one letter each take less time than one look at every letter.
    for letter, escape in _ESCAPES:
        if letter in text:
            text = text.replace(letter, escape)
    return text


def _redacted(text: str) -> str:
    return _escaped(redact(text))
