"""From an invocation to the line that COPY reads. Pure."""

from datetime import UTC, datetime
from functools import lru_cache

from appliance.gateway.traces.record import Invocation
from appliance.gateway.traces.redact import redact

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


def copy_line(item: Invocation) -> str:
    """Return ``item`` as one line of COPY's text format, without secrets."""
    seconds, fraction = divmod(min(max(item.started_at, 0.0), _LATEST_S), 1)
    rpc_code = _NULL
    if item.rpc_code:
        rpc_code = str(min(max(item.rpc_code, _SMALLEST_INT), _LARGEST_INT))
    started_at = f"{_second(seconds)}.{int(fraction * 1e6):06}+00"
    return (
        f"{started_at}\t{item.duration_s * 1000:.3f}\t{item.server_id}\t{item.bundle_id or _NULL}\t"
        f"{item.deployment_id or _NULL}\t{_word(item.principal)}\t{_word(item.method)}\t{_target(item.target)}\t"
        f"{item.http_status}\t{_word(item.error_class)}\t{rpc_code}\t{item.request_bytes}\t{item.response_bytes}\t"
        f"{_word(item.traceparent)}\t{_body(item.request)}\t{_body(item.response)}\n"
    )


@lru_cache(maxsize=64)
def _second(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


@lru_cache(maxsize=512)
def _target(text: str) -> str:
    return _word(redact(text))


# Methods, callers and tools are the same again and again.
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


def _body(raw: bytes) -> str:
    # What is not text, or was cut in the middle of a letter, is shown as such.
    return _escaped(redact(raw.decode(errors="replace"))) if raw else _NULL
