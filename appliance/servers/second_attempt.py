"""Whether a deployment that never answered is tried once more, with what it needs as of its release. Pure.

Many packages break on dependencies that are newer than themselves. A server whose output says so, or that stays silent, is
therefore deployed again as of the day after its own release. That is a deployment of its own, so the first one keeps its
reason; it carries ``as_of``, so that there is no third.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from appliance.builds.asof import release_day
from appliance.core.errors import InvalidError
from appliance.runtimes.model import LogLine
from appliance.servers.missing_settings import missing_settings
from appliance.servers.model import Deployment
from appliance.sources.model import PackageSource
from appliance.sources.spec import as_dict, parse_source

#: What a program prints when what it was written against is not what it finds: a name is gone, or takes other arguments.
_BROKEN = re.compile(
    r"\b(?:ImportError|ModuleNotFoundError|AttributeError)\b"
    r"|\bTypeError: .*(?:unexpected keyword argument|positional arguments?\b|abstract|is not a function|is not a constructor)"
    r"|\b(?:PydanticUserError|PydanticImportError|PydanticUndefinedAnnotation)\b"
    r"|\bERR_(?:MODULE_NOT_FOUND|PACKAGE_PATH_NOT_EXPORTED|UNSUPPORTED_DIR_IMPORT|REQUIRE_ESM)\b"
    r"|\bCannot find (?:module|package) |\bMODULE_NOT_FOUND\b"
    r"|does not provide an export named|Named export .* not found"
)


def second_attempt(
    failed: Deployment, lines: Sequence[LogLine], *, is_silent: bool
) -> PackageSource | None:
    """Return what to deploy instead of a first deployment that never answered; ``None``: there is nothing else to try.

    Args:
        failed: The deployment.
        lines: The last lines that it printed, as far as a reason may quote them.
        is_silent: Whether it runs and gives no answer; else it ended.
    """
    source, resolved = failed.source, failed.resolved
    if not isinstance(source, PackageSource) or source.as_of or resolved.get("kept"):
        return None
    texts = [line.text for line in lines]
    is_broken = any(_BROKEN.search(text) for text in texts)
    if missing_settings(texts) or not (is_silent or is_broken):
        return None
    return _as_of_release(failed, source)


def _as_of_release(failed: Deployment, source: PackageSource) -> PackageSource | None:
    version, released = failed.resolved.get("version"), failed.resolved.get("released")
    try:
        day = release_day(datetime.fromisoformat(str(released)))
        wanted = replace(source, version=version, as_of=day)
        is_sound = parse_source(as_dict(wanted)) == wanted
    except (ValueError, OverflowError, InvalidError):
        # What an image says of itself is a stranger's word.
        return None
    # A release of today has the newest dependencies already.
    return wanted if is_sound and version and day < failed.created_at.date() else None


def with_reason(
    resolved: Mapping[str, Any], deployment: Deployment, live: Deployment | None
) -> dict[str, Any]:
    """Return what a build resolved, with the reason of its day where it was not asked for.

    Args:
        resolved: As the build says.
        deployment: The build's.
        live: The one whose lock was kept, if it was.
    """
    why = deployment.reason
    if resolved.get("kept") and live:
        why = str(live.resolved.get("as_of_because", ""))
    if "as_of" not in resolved or not why:
        return dict(resolved)
    return {**resolved, "as_of_because": why}
