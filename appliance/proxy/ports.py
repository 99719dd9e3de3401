"""What works in the controller's process beside the controller."""

from typing import Protocol


class Work(Protocol):
    """Something that goes on for as long as the process does."""

    async def run(self) -> None:
        """Work until cancelled. What it raises is logged, and it is begun again after a while."""
