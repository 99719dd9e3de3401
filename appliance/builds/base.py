"""The base image that generated Dockerfiles build on: one for Python and Node, made once, named by its recipe.

Its Debian is pulled where a registry can be reached and assembled from a mirror where
none can; the rest is ``base/Dockerfile``.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from appliance.core.platforms import dashed

RECIPE = Path(__file__).parent / "base"
SUITE = "trixie"
PACKAGES = ("python3", "python3-venv", "ca-certificates", "git")
#: Nobody reads manuals in a container. Copyright files stay.
EXCLUDED = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/info/*",
    "/usr/share/perl/*/pod/*",
    "/usr/share/lintian/*",
)
INCLUDED = ("/usr/share/doc/*/copyright",)

#: As root it mounts /proc, /sys and others into the Debian that it makes. In namespaces of its own they vanish with it,
#: and so do its children, however it ends.
ALONE = (
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child=KILL",
    "--mount-proc",
)
FROM_ROOTFS = "FROM scratch AS rootfs\nADD rootfs.tar /\n"


def recipe_hash(
    files: Mapping[str, bytes], *, certificates: bytes, source: str, image: str
) -> str:
    """Return 12 hex digits that change with anything that goes into the base. Pure.

    Args:
        files: The recipe's files by name.
        certificates: What the box trusts.
        source: BUILD_BASE_SOURCE.
        image: BUILD_BASE_IMAGE.
    """
    digest = hashlib.sha256()
    parts = [(name, content) for name, content in sorted(files.items())]
    fixed = " ".join((SUITE, *PACKAGES, *EXCLUDED, source, image))
    for name, content in [
        *parts,
        ("fixed", fixed.encode()),
        ("certificates", certificates),
    ]:
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def base_tag(recipe: str, platform: str | None = None) -> str:
    """Return the base image's name; ``None``: that of the box's own platform. Pure."""
    tag = f"mcp-host/base:{recipe}"
    return f"{tag}-{dashed(platform)}" if platform else tag


def base_dockerfile(toolchain: str, *, pulled: str | None) -> str:
    """Return the whole Dockerfile. Pure.

    Args:
        toolchain: The text of ``base/Dockerfile``.
        pulled: The image to begin with; ``None``: ``rootfs.tar`` in the context.
    """
    return (f"FROM {pulled} AS rootfs\n" if pulled else FROM_ROOTFS) + "\n" + toolchain


def mmdebstrap_argv(
    target: Path,
    *,
    mirror: str | None,
    is_root: bool,
    architecture: str | None = None,
) -> list[str]:
    """Return the command that assembles a Debian. Pure.

    Args:
        target: Tar file to write.
        mirror: Debian mirror; ``None``: mmdebstrap's own choice.
        is_root: Others go through user namespaces.
        architecture: Debian's name of a foreign one, run by emulation; ``None``: the box's own.
    """
    options = [f"--dpkgopt=path-exclude={path}" for path in EXCLUDED]
    options += [f"--dpkgopt=path-include={path}" for path in INCLUDED]
    return [
        *(ALONE if is_root else ()),
        "mmdebstrap",
        f"--mode={'root' if is_root else 'unshare'}",
        "--variant=minbase",
        *([f"--architectures={architecture}"] if architecture else ()),
        f"--include={','.join(PACKAGES)}",
        *options,
        SUITE,
        str(target),
        *([mirror] if mirror else []),
    ]


_ONE_LINE = re.compile(
    r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$"
)


def debian_mirror(sources: Mapping[str, str], codename: str) -> str | None:
    """Return the mirror that a Debian box's own apt takes its main archive from; ``None`` if none is named. Pure.

    Args:
        sources: Texts of ``sources.list`` and the files of ``sources.list.d`` by name.
        codename: The box's own suite (``bookworm``), whose mirror has the others too.
    """
    for name, text in sorted(sources.items()):
        found = (
            _deb822(text, codename)
            if name.endswith(".sources")
            else _one_line(text, codename)
        )
        if found:
            return found
    return None


def _one_line(text: str, codename: str) -> str | None:
    for line in text.splitlines():
        match = _ONE_LINE.match(line.strip())
        if (
            match
            and match["suite"] == codename
            and "main" in match["components"].split()
        ):
            return match["uri"]
    return None


def _deb822(text: str, codename: str) -> str | None:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if not line.startswith("#")]
        fields = dict(
            re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", "\n".join(lines), re.MULTILINE)
        )
        wanted = (
            codename in fields.get("Suites", "").split()
            and "main" in fields.get("Components", "").split()
        )
        if (
            wanted
            and "deb" in fields.get("Types", "").split()
            and fields.get("Enabled", "yes") != "no"
            and fields.get("URIs")
        ):
            return str(fields["URIs"].split()[0])
    return None
