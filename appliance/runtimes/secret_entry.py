"""How values reach a container's program without the engine seeing them: mounts, and what runs before the program. Pure.

A directory in memory is mounted read-only. Where a program wants its values in the environment, a shell reads them there,
byte by byte as they are, and becomes the program: names are in the container's settings, values nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.runtimes.errors import StartFailedError
from appliance.runtimes.model import SecretValue

#: Where values lie in a container.
DIRECTORY = "/run/secrets"
#: Where a shell is mounted into images that have none; busybox goes by the name that it is called by.
SHELL = "/run/mcp-host/busybox"
IMAGE_SHELL = "/bin/sh"
#: Only what every POSIX shell has built in: an image may have nothing else. ``read`` ends at a line's end, and at the end of
#: the file with what came after the last one.
SCRIPT = """\
_mcp_newline='
'
while [ "$1" != -- ]; do
  _mcp_value=
  if ! [ -r "/run/secrets/$1" ]; then
    echo "mcp-host: the secret $1 cannot be read" >&2
    exit 78
  fi
  while IFS= read -r _mcp_line; do
    _mcp_value=$_mcp_value$_mcp_line$_mcp_newline
  done <"/run/secrets/$1"
  export "$1=$_mcp_value$_mcp_line" "CFG_$1=$_mcp_value$_mcp_line"
  shift
done
shift
unset _mcp_newline _mcp_value _mcp_line
exec "$@"
"""


@dataclass(frozen=True)
class ImageProgram:
    """What an image starts, and whether it has a shell."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    has_shell: bool = True


@dataclass(frozen=True)
class SecretPlaces:
    """Where on this box what secrets need is."""

    #: One container's values, in memory.
    directory: Path | None = None
    #: A program that needs nothing beside it and is a shell; ``None``: there is none.
    shell: Path | None = None


def names_in_environment(values: Sequence[SecretValue]) -> list[str]:
    """Return the names of what a program gets in its environment, in order."""
    return sorted(item.name for item in values if item.in_environment)


def entry(
    values: Sequence[SecretValue], program: ImageProgram, arguments: Sequence[str]
) -> dict[str, Any]:
    """Return what the engine is told to start; nothing where it needs not be told.

    Args:
        values: What the program gets.
        program: What the image would start.
        arguments: What is given to it instead of the image's own.
    """
    names = names_in_environment(values)
    own = list(arguments or program.command)
    started = [*program.entrypoint, *own]
    if not names or not started:
        return {"Cmd": own} if arguments else {}
    shell = [IMAGE_SHELL] if program.has_shell else [SHELL, "sh"]
    return {
        "Entrypoint": [*shell, "-c", SCRIPT, "mcp-host-entry"],
        "Cmd": [*names, "--", *started],
    }


def mounts(
    values: Sequence[SecretValue], program: ImageProgram, places: SecretPlaces
) -> list[dict[str, Any]]:
    """Return what is mounted for the values.

    Raises:
        StartFailedError: The image has no shell, nor has this box one to lend.
    """
    if not values or places.directory is None:
        return []
    found = [_bind(places.directory, DIRECTORY)]
    if names_in_environment(values) and not program.has_shell:
        if places.shell is None:
            raise StartFailedError(
                "The image has no shell, so its secrets can reach it as files alone.",
                hint="Have each of them delivered as a file, or install busybox-static on this box.",
            )
        found.append(_bind(places.shell, SHELL))
    return found


def _bind(source: Path, target: str) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": str(source),
        "Target": target,
        "ReadOnly": True,
        "BindOptions": {"Propagation": "rprivate"},
    }
