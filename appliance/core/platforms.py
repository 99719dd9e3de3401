"""Platforms, as buildx names them: what there is, and how lists of them are read. Pure."""

import platform as box

#: Platform to the architecture as Debian calls it.
KNOWN = {
    "linux/amd64": "amd64",
    "linux/arm64": "arm64",
    "linux/arm/v7": "armhf",
    "linux/arm/v6": "armel",
    "linux/386": "i386",
    "linux/ppc64le": "ppc64el",
    "linux/riscv64": "riscv64",
    "linux/s390x": "s390x",
}
#: What else these are called: by kernels, by Go, by people.
_OTHERWISE = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "arm64/v8": "arm64",
    "arm": "arm/v7",
    "armhf": "arm/v7",
    "armv7l": "arm/v7",
    "armv6l": "arm/v6",
    "i386": "386",
    "i686": "386",
}


def platform_of(text: str) -> str:
    """Return a platform's one name.

    Raises:
        ValueError: There is no such platform.

    >>> platform_of("linux/arm64/v8"), platform_of("aarch64")
    ('linux/arm64', 'linux/arm64')
    """
    architecture = text.strip().lower().removeprefix("linux/")
    found = f"linux/{_OTHERWISE.get(architecture, architecture)}"
    if found not in KNOWN:
        raise ValueError(
            f"{text.strip()!r} is no platform that images are built for; there are {', '.join(KNOWN)}"
        )
    return found


def platforms_of(text: str) -> tuple[str, ...]:
    """Return the platforms of a list with commas, each once, in its order.

    Raises:
        ValueError: It is empty, or names something else.
    """
    names = [name for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError("must name at least one platform, such as linux/amd64")
    return tuple(dict.fromkeys(map(platform_of, names)))


def dashed(platform: str) -> str:
    """Return a platform as it may stand in a tag or a file's name.

    >>> dashed("linux/arm/v7")
    'linux-arm-v7'
    """
    return platform.replace("/", "-")


def own_platform() -> str:
    """Return the platform of this box; one that images are not built for, as the kernel calls it."""
    try:
        return platform_of(box.machine())
    except ValueError:
        return f"linux/{box.machine()}"
