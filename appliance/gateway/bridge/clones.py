"""A session's own container: who it is for, what it is called, and what the engine is asked to make. Pure.

It is made from what the engine says of the instance's container, so that it is kept in its place by the same means, whatever
these are.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from appliance.core import labels
from appliance.gateway.bridge.calls import Caller

#: What the engine says of a container and takes back under another name, or not at all.
_NOT_TAKEN = {"Image", "Labels", "MacAddress"}


def session_key(caller: Caller) -> str:
    """Return what tells the caller's container from others, as 16 hexadecimal digits.

    A client with a session has its own. Clients of one principal that have none share one.
    """
    text = f"{caller.principal}\0{caller.session}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def gateway_label(session_signing_key: str, bridge_socket: str) -> str:
    """Return what marks the session containers of one gateway; two may share an engine."""
    text = f"{session_signing_key}\0{bridge_socket}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def clone_name(found: Mapping[str, Any], key: str) -> str:
    """Return the name of a session's container beside the instance's container ``found``; one session has one name."""
    return f"{found['Name'].lstrip('/')}.s-{key}"


def clone_config(found: Mapping[str, Any], *, key: str, gateway: str) -> dict[str, Any]:
    """Return the body of ``POST /containers/create`` for a session's container.

    Args:
        found: The answer of ``GET /containers/<id>/json`` for the instance's container.
        key: Of the session.
        gateway: Who keeps it.
    """
    config = found["Config"]
    kept = {name: value for name, value in config.items() if name not in _NOT_TAKEN}
    own = {**(config.get("Labels") or {}), labels.SESSION: key, labels.GATEWAY: gateway}
    return kept | {
        # By id: its name may mean another image by now.
        "Image": found["Image"],
        "Labels": own,
        # Whoever hangs up closes its stdin: a server ends when its only client does.
        "OpenStdin": True,
        "StdinOnce": True,
        "HostConfig": found["HostConfig"],
    }
