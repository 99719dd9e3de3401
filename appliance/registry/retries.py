"""When something is tried again, and when it is given up. Pure."""

from dataclasses import dataclass

from appliance.registry.errors import ErrorKind, RegistryError

LONGEST_PAUSE_S = 30.0
#: A registry that asks for more than this is not waited for so long.
LONGEST_RETRY_AFTER_S = 120.0


@dataclass(frozen=True)
class Patience:
    """How long to wait between attempts."""

    #: How often a fault is tried again that may go away by itself.
    retries: int
    #: Doubled for each further one.
    first_pause_s: float = 1.0

    def pause_s(self, error: RegistryError, retry: int, chance: float) -> float:
        """Return the seconds before retry number ``retry`` (from 1).

        Args:
            chance: 0 to 1: what keeps several pushes from coming back at the same moment.
        """
        if error.retry_after_s is not None:
            # As asked, and a little over it, never under.
            asked = min(error.retry_after_s, LONGEST_RETRY_AFTER_S)
            return asked + chance * self.first_pause_s
        whole = min(self.first_pause_s * 2.0 ** (retry - 1), LONGEST_PAUSE_S)
        return whole * (0.5 + chance / 2)


def may_refresh(error: RegistryError) -> bool:
    """Tell whether other credentials may make the difference."""
    return error.kind in {ErrorKind.AUTH_EXPIRED, ErrorKind.UNAUTHORIZED}
