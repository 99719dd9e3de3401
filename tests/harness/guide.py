"""The commands of the administration guide, as they stand in it, so that none is there that nobody runs.

A block between fences is marked by where its commands can be run: ``console`` on any running appliance, ``console box`` on an
installed box with systemd, ``console container`` where images can be built. Settings stand in blocks marked ``ini``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
GUIDE = ROOT / "docs" / "admin"
ANYWHERE, BOX, CONTAINER = "", "box", "container"
#: Which file runs the commands of a kind.
RUN_BY = {
    ANYWHERE: "tests/e2e/test_admin_guide.py",
    BOX: "tests/proofs/admin_guide.py",
    CONTAINER: "tests/proofs/container_image.py",
}
_FENCE = re.compile(r"^```(.*)$")


@dataclass(frozen=True)
class Block:
    """What stands between two fences."""

    page: str
    line: int
    info: str
    lines: tuple[str, ...]

    @property
    def kind(self) -> str | None:
        """Where its commands can be run; ``None``: it has none."""
        word, _, kind = self.info.partition(" ")
        return kind if word == "console" else None

    @property
    def commands(self) -> list[str]:
        """Return its commands, each whole.

        Raises:
            ValueError: A line is no command.
        """
        found: list[str] = []
        for line in self.lines:
            if found and found[-1].endswith("\\"):
                found[-1] = f"{found[-1][:-1].rstrip()} {line.strip()}"
            elif line.startswith("$ "):
                found.append(line.removeprefix("$ "))
            else:
                raise ValueError(f"{self.page}:{self.line}: not a command: {line}")
        return found


def blocks() -> list[Block]:
    """Return every block of the guide, page by page.

    Raises:
        ValueError: Something looks like commands and stands in no block.
    """
    index = (GUIDE / "index.md").read_text()
    pages = ["index.md", *re.findall(r"\]\(([a-z]+\.md)\)", index)]
    found = []
    for page in dict.fromkeys(pages):
        found += _blocks_of(page, (GUIDE / page).read_text().splitlines())
    return found


def commands(kind: str) -> list[str]:
    """Return the commands of the guide that can be run there, in its order."""
    return [
        command
        for block in blocks()
        if block.kind == kind
        for command in block.commands
    ]


def _blocks_of(page: str, lines: list[str]) -> list[Block]:
    found: list[Block] = []
    info: str | None = None
    inside: list[str] = []
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.match(line)
        if fence and info is None:
            info, inside = fence[1].strip(), []
        elif fence:
            start = number - len(inside)
            found.append(Block(page, start, info or "", tuple(inside)))
            info = None
        elif info is not None:
            inside.append(line)
        elif line.startswith("    "):
            raise ValueError(f"{page}:{number}: put this between fences: {line}")
    return found
