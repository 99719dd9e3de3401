"""From the text of the isolation form to an isolation, and back. Pure."""

from collections.abc import Mapping

from appliance.core.errors import InvalidError
from appliance.runtimes.isolation import Isolation, Relaxation, Tier, problems
from appliance.servers.config import parse_memory
from appliance.web.server_form import memory_text

TIERS = (
    (Tier.STANDARD.value, "Standard: hardened container"),
    (Tier.SANDBOXED.value, "Sandboxed: gVisor"),
    (Tier.VM.value, "A machine of its own"),
)
GPU = (("no", "None"), ("yes", "All of the box"))
#: Stands before the name of a relaxation in its checkbox.
RELAX = "relax:"
_FIELD = "isolation."
_WHOLE = "give a whole number"


def values_of(isolation: Isolation) -> dict[str, str]:
    """Return ``isolation`` as its form shows it."""
    data = isolation.data_bytes
    return {
        "tier": isolation.tier.value,
        "pids": str(isolation.pids),
        "files": str(isolation.files),
        "data_bytes": "" if data is None else memory_text(data),
        "use_gpu": "yes" if isolation.use_gpu else "no",
        **{f"{RELAX}{item.value}": "on" for item in isolation.relaxations},
    }


def read(form: Mapping[str, str]) -> Isolation:
    """Return what a filled form means.

    Raises:
        InvalidError: Names every control whose value is wrong.
    """
    default, wrong = Isolation(), dict[str, str]()
    pids = _whole(form, "pids", default.pids, wrong)
    files = _whole(form, "files", default.files, wrong)
    data: int | None = None
    if text := form.get("data_bytes", "").strip():
        try:
            data = parse_memory(text)
        except InvalidError:
            wrong["data_bytes"] = "give a size of at least 16m, such as 512m or 2g"
    tier = form.get("tier") or default.tier.value
    if tier not in dict(TIERS):
        wrong["tier"] = "choose one of the list"
    if wrong or pids is None or files is None:
        raise InvalidError("The isolation is not valid.", fields=wrong)
    found = Isolation(
        tier=Tier(tier),
        pids=pids,
        files=files,
        data_bytes=data,
        use_gpu=form.get("use_gpu") == "yes",
        relaxations=tuple(
            item for item in Relaxation if form.get(f"{RELAX}{item.value}")
        ),
    )
    if fields := problems(found):
        raise at_controls(InvalidError("The isolation is not valid.", fields=fields))
    return found


def at_controls(error: InvalidError) -> InvalidError:
    """Return ``error`` with its fields named as the form's controls are."""
    fields = {
        name.removeprefix(_FIELD): problem for name, problem in error.fields.items()
    }
    return InvalidError(error.detail, fields=fields)


def _whole(
    form: Mapping[str, str], name: str, default: int | None, wrong: dict[str, str]
) -> int | None:
    text = form.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        wrong[name] = _WHOLE
        return default
    return int(text)
