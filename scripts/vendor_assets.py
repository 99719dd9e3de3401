#!/usr/bin/env python3
"""Fetch the browser's assets that ``static/vendor/lock.json`` names, or check that they are what it says.

    scripts/vendor_assets.py           fetch by npm, verify each tarball's sha512, write files, sprite and manifest.json
    scripts/vendor_assets.py --check   compare the committed files with manifest.json; needs no network

The files are committed, so that neither a build nor a start of the appliance needs npm. hx-csp is not among them: it
stops every htmx attribute unless each page carries a nonce, while ``script-src 'self'`` already denies what it gates.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).resolve().parent.parent / "static" / "vendor"
LOCK = VENDOR / "lock.json"
MANIFEST = VENDOR / "manifest.json"

_SVG_INNER = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


class VendorError(Exception):
    """An asset is not what the lock file or the manifest says."""


def sha384(content: bytes) -> str:
    """Return ``content``'s hash in the form of subresource integrity."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def sprite(icons: dict[str, str]) -> str:
    """Return one SVG of ``<symbol>`` elements from name to the text of each icon's own SVG."""
    symbols = []
    for name, text in sorted(icons.items()):
        found = _SVG_INNER.search(text)
        if found is None:
            raise VendorError(f"{name}.svg holds no <svg>.")
        shapes = " ".join(found.group(1).split())
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{shapes}</symbol>')
    body = "\n".join(symbols)
    return f'<svg xmlns="http://www.w3.org/2000/svg">\n{body}\n</svg>\n'


def _pack(package: dict[str, Any], into: Path) -> dict[str, bytes]:
    """Return the package's files by their path in the tarball, which matches the locked hash."""
    spec = f"{package['name']}@{package['version']}"
    command = ["npm", "pack", "--json", "--pack-destination", str(into), spec]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    tarball = into / json.loads(done.stdout)[0]["filename"]
    found = (
        "sha512-"
        + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    )
    if found != package["integrity"]:
        raise VendorError(
            f"{spec}: the lock file says {package['integrity']}, the registry gave {found}."
        )
    with tarfile.open(tarball) as archive:
        return {
            member.name.removeprefix("package/"): content.read()
            for member in archive
            if member.isfile() and (content := archive.extractfile(member)) is not None
        }


def fetch() -> dict[str, bytes]:
    """Return every vendored file by its path below ``static/vendor``."""
    lock = json.loads(LOCK.read_text())
    wanted: dict[str, bytes] = {}
    for package in lock["packages"]:
        with tempfile.TemporaryDirectory() as directory:
            contents = _pack(package, Path(directory))
        wanted |= {
            target: contents[source] for source, target in package["files"].items()
        }
        if package["name"] == lock["sprite"]["package"]:
            icons = {
                name: contents[f"icons/{name}.svg"].decode()
                for name in lock["sprite"]["icons"]
            }
            wanted[lock["sprite"]["file"]] = sprite(icons).encode()
    return wanted


def write(files: dict[str, bytes]) -> None:
    """Write the files and a manifest of their hashes."""
    for name, content in files.items():
        path = VENDOR / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    manifest = {name: sha384(content) for name, content in sorted(files.items())}
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")


def differences() -> list[str]:
    """Return one sentence for each file that is missing, changed, or that the manifest does not name."""
    manifest: dict[str, str] = json.loads(MANIFEST.read_text())
    own = {LOCK, MANIFEST}
    present = {
        str(path.relative_to(VENDOR))
        for path in VENDOR.rglob("*")
        if path.is_file() and path not in own
    }
    found = [
        f"{name}: not in manifest.json" for name in sorted(present - manifest.keys())
    ]
    for name, expected in manifest.items():
        if name not in present:
            found.append(f"{name}: missing")
        elif sha384((VENDOR / name).read_bytes()) != expected:
            found.append(f"{name}: its hash is not the one in manifest.json")
    return found


def main(arguments: list[str]) -> int:
    """Fetch, or check with ``--check``; return the exit code."""
    if arguments == ["--check"]:
        problems = differences()
        sys.stdout.writelines(f"{problem}\n" for problem in problems)
        return 1 if problems else 0
    write(fetch())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
