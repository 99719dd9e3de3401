"""From an invocation to the line that COPY reads. Pure."""

from datetime import UTC, datetime

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
_ESCAPES = str.maketrans(
    {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\0": "\N{REPLACEMENT CHARACTER}"}
)  # fmt: skip
_SMALLEST_INT, _LARGEST_INT = -(2**31), 2**31 - 1
#: The latest and the earliest second that Postgres and Python can both tell.
_LATEST_S = 253_402_300_799.0


def copy_line(item: Invocation) -> str:
    """Return ``item`` as one line of COPY's text format, without secrets."""
    started_at = datetime.fromtimestamp(min(max(item.started_at, 0.0), _LATEST_S), UTC)
    rpc_code = _NULL
    if item.rpc_code:
        rpc_code = str(min(max(item.rpc_code, _SMALLEST_INT), _LARGEST_INT))
    return (
        f"{started_at.isoformat()}\t{item.duration_s * 1000:.3f}\t{item.server_id}\t{item.bundle_id or _NULL}\t"
        f"{item.deployment_id or _NULL}\t{_word(item.principal)}\t{_word(item.method)}\t{_word(redact(item.target))}\t"
        f"{item.http_status}\t{_word(item.error_class)}\t{rpc_code}\t{item.request_bytes}\t{item.response_bytes}\t"
        f"{_word(item.traceparent)}\t{_body(item.request)}\t{_body(item.response)}\n"
    )


def _word(text: str) -> str:
    if len(text) > MOST_LETTERS:
        text = text[: MOST_LETTERS - 1] + "…"
    return text if text.isalnum() else text.translate(_ESCAPES)


def _body(raw: bytes) -> str:
    # What is not text, or was cut in the middle of a letter, is shown as such.
    return redact(raw.decode(errors="replace")).translate(_ESCAPES) if raw else _NULL
