"""What keeps the egress process from its work."""

from appliance.core.errors import UnavailableError


class NoRightsError(UnavailableError):
    """This process may not change the firewall, or the box has none that it knows."""

    code = "egress_not_enforced"
