"""Which platforms a build makes images for, in which order, and how many at once. Pure."""

from collections.abc import Sequence

from appliance.core import labels
from appliance.core.platforms import dashed


def in_order(targets: Sequence[str], native: str) -> tuple[str, ...]:
    """Return what is built: the box's own platform first, because that image runs here, then the other targets.

    >>> in_order(["linux/arm64", "linux/amd64"], "linux/amd64")
    ('linux/amd64', 'linux/arm64')
    """
    return (native, *(target for target in targets if target != native))


def at_once(wanted: int | None, *, cpus: int, targets: int) -> int:
    """Return how many platforms are built at the same time; ``None``: as many as there are CPUs."""
    return max(1, min(wanted or cpus, targets))


def tag_of(
    platform: str, *, native: str, owner: str, server_name: str, deployment_id: int
) -> str:
    """Return the name that holds one platform's image of a deployment."""
    tag = labels.image_tag(owner, server_name, deployment_id)
    return tag if platform == native else f"{tag}-{dashed(platform)}"


def prefixed(platform: str, platforms: Sequence[str], text: str) -> str:
    """Return a line for the log: behind its platform where there are several."""
    return f"{platform} | {text}" if len(platforms) > 1 else text
