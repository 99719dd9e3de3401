"""Who a container runs as, from what its image says. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Account:
    """One line of ``/etc/passwd``."""

    name: str
    uid: int
    gid: int


def parse_passwd(text: str) -> list[Account]:
    """Return the accounts of an ``/etc/passwd``; lines that are none are passed over."""
    found = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) > 3 and fields[2].isdigit() and fields[3].isdigit():  # noqa: PLR2004 - name:x:uid:gid
            found.append(Account(fields[0], int(fields[2]), int(fields[3])))
    return found


def image_account(
    user: str, passwd: str, *, may_be_root: bool = False
) -> tuple[int, int] | None:
    """Return (uid, gid) of an image's ``USER``; ``None`` if that is nobody that the image knows, or root who may not be.

    Args:
        user: ``name``, ``uid``, or either with ``:group``; empty: root.
        passwd: The image's ``/etc/passwd``; may be empty.
        may_be_root: Whether root is an answer.
    """
    name, _, group = user.partition(":")
    name = name or "0"
    accounts = parse_passwd(passwd)
    known = next(
        (item for item in accounts if name in {item.name, str(item.uid)}), None
    )
    if known:
        uid, gid = known.uid, known.gid
    elif name.isdigit():
        uid = gid = int(name)
    else:
        return None
    if group.isdigit():
        gid = int(group)
    return None if uid == 0 and not may_be_root else (uid, gid)
