"""Containers that use what a test says."""

from collections.abc import Sequence

from appliance.runtimes.meters import Reading
from appliance.runtimes.printing import Printer


class FakeMetering:
    """Gives the readings that were set."""

    def __init__(self) -> None:
        self.running: list[Printer] = []
        self.readings: dict[str, Reading] = {}

    async def read(self, printers: Sequence[Printer]) -> dict[str, Reading]:
        known = {item.container_id for item in printers}
        return {key: value for key, value in self.readings.items() if key in known}
