"""Numbers in words. Pure."""

_STEP = 1024


def size(count: int) -> str:
    """Return ``512 MiB``, with as many decimals as say something."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < _STEP:
            return f"{amount:.4g} {unit}"
        amount /= _STEP
    return f"{amount:.4g} GiB"
