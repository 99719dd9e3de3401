"""How often somebody may ask: a budget that fills up by itself, one for each account and address. Pure."""

import math
from collections import OrderedDict

#: Subjects that are remembered; those that asked for longest not are forgotten first, which gives them a full budget.
MAX_SUBJECTS = 8192
_MINUTE_S = 60.0


class Budget:
    """Lets each subject do ``per_minute`` things a minute, all of them at once if need be.

    Args:
        per_minute: How many; 0: any number.
    """

    def __init__(self, per_minute: int) -> None:
        """Start with full budgets."""
        self._step_s = _MINUTE_S / per_minute if per_minute else 0.0
        #: When a subject's budget is full again.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, subject: str, moment_s: float) -> int:
        """Take one and return 0, or return the whole seconds until there is one again.

        Args:
            subject: Whose budget.
            moment_s: Now, by a clock that only grows.
        """
        if not self._step_s:
            return 0
        full_at = max(self._full_at.get(subject, 0.0), moment_s) + self._step_s
        over_s = full_at - moment_s - _MINUTE_S
        # A minute's budget is not exact to the last bit of a float.
        if over_s > self._step_s * 1e-3:
            return max(1, math.ceil(over_s))
        self._full_at[subject] = full_at
        self._full_at.move_to_end(subject)
        if len(self._full_at) > MAX_SUBJECTS:
            self._full_at.popitem(last=False)
        return 0
