"""What the product says about what runs short."""

from appliance.core.errors import UnavailableError


class PressureError(UnavailableError):
    """Something runs short; everything still works."""

    code = "under_pressure"
