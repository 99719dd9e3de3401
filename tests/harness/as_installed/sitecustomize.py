"""Hides from an appliance what only the environment of tests and tools has; Python runs this first in every process.

Libraries load these where they find them, though nothing of ours uses them: what is measured here would be megabytes more
than what an installed appliance takes.
"""

import sys

ABSENT = ("greenlet", "pygments", "rich")

for name in ABSENT:
    sys.modules[name] = None  # type: ignore[assignment]
