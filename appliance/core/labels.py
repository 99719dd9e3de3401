"""How things outside our own directories are marked as ours. Pure.

Two appliances may share one engine. Each touches only what carries its own installation
id.
"""

OWNER = "mcp-host.owner"
SERVER = "mcp-host.server"
DEPLOYMENT = "mcp-host.deployment"
#: On images: who owns the server, by number.
PERSON = "mcp-host.person"
INSTANCE = "mcp-host.instance"
TRANSPORT = "mcp-host.transport"
PORT = "mcp-host.port"
PATH = "mcp-host.path"
#: By which decision of the policy it was started, and whether only to be looked at.
DECISION = "mcp-host.decision"
PURPOSE = "mcp-host.purpose"
#: On base images and whatever is made from them: the base's recipe hash.
BASE = "mcp-host.base"
#: On containers that only exist to look into an image or a volume, or to prepare one.
HELPER = "mcp-host.helper"
#: On helpers that look into the image of a run in the ledger: which run.
RUN = "mcp-host.run"

#: On containers that the gateway keeps for one session each: which session. They carry their instance's labels too.
SESSION = "mcp-host.session"
#: On the same: which gateway keeps it.
GATEWAY = "mcp-host.gateway"

IMAGE_PREFIX = "mcp-host/"


def image_tag(owner: str, server_name: str, deployment_id: int) -> str:
    """Return the tag that holds the image of one deployment, so that no clean-up of unused images takes it.

    >>> image_tag("0a1b2c3d4e5f", "time", 7)
    'mcp-host/time:0a1b2c3d4e5f-7'
    """
    return f"{IMAGE_PREFIX}{server_name}:{owner}-{deployment_id}"


def is_own_tag(tag: str, owner: str) -> bool:
    """Tell whether ``tag`` was made by ``image_tag`` for ``owner``."""
    return tag.startswith(IMAGE_PREFIX) and tag.rpartition(":")[2].startswith(
        f"{owner}-"
    )


def deployment_of(tag: str, owner: str) -> int | None:
    """Return the deployment whose image a name of ``image_tag`` holds, whatever its platform; ``None``: it is none of ours.

    >>> deployment_of("mcp-host/time:0a1b2c3d4e5f-7-linux-arm64", "0a1b2c3d4e5f")
    7
    """
    if not is_own_tag(tag, owner):
        return None
    number = tag.rpartition(":")[2].removeprefix(f"{owner}-").partition("-")[0]
    return int(number) if number.isdecimal() else None
