"""Versions of one server as images: each says its number, and some do not work."""

import shutil
import subprocess
import tempfile
from pathlib import Path

FAKE = Path(__file__).parent.parent / "fakes" / "mcp_version.py"
REPOSITORY = "mcp-host-proof/version"


class Versions:
    """Makes images on the box's engine, and moves the tag that a server is made of.

    Args:
        base: An image with Python.
        name: Tells them from those of another run.
    """

    def __init__(self, base: str, name: str) -> None:
        self._base = base
        self._name = name
        self._made: list[str] = []

    @property
    def tag(self) -> str:
        """What the server is made of: whichever version it names when it is deployed."""
        return f"{REPOSITORY}:{self._name}"

    def publish(self, number: int, fault: str = "") -> None:
        """Make a version, and have the tag name it."""
        made = f"{REPOSITORY}:{self._name}-{number}"
        lines = [
            f"FROM {self._base}",
            "ENTRYPOINT []",
            "COPY mcp_version.py /mcp_version.py",
            f"ENV VERSION={number} FAULT={fault}",
            'CMD ["python3", "-u", "/mcp_version.py"]',
        ]
        with tempfile.TemporaryDirectory() as context:
            shutil.copy(FAKE, context)
            (Path(context) / "Dockerfile").write_text("\n".join(lines))
            _docker("build", "--quiet", "--tag", made, context)
        self._made.append(made)
        _docker("tag", made, self.tag)

    def remove(self) -> None:
        """Leave no image behind."""
        for tag in [*self._made, self.tag]:
            subprocess.run(["docker", "rmi", tag], capture_output=True, check=False)


def _docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True)
