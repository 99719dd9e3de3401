"""Whatever else a server uses: variables under names of one's own. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.integrations.kinds.addresses import host_problem, port_problem
from appliance.integrations.kinds.ports import Destination, Kind, Secrets, Settings
from appliance.integrations.model import Variables

DEFAULTS: dict[str, Any] = {"host": "", "port": None, "tls": False, "variables": []}
MAX_VARIABLES = 50


class Custom:
    """Names and values as they are given; every value is a secret."""

    def settings(self, given: Settings) -> dict[str, Any]:
        """Return the settings with their defaults."""
        return {**DEFAULTS, **{name: given[name] for name in DEFAULTS if name in given}}

    def problems(self, settings: Settings, secrets: Secrets) -> dict[str, str]:
        """Return what is wrong, by field."""
        found = {}
        names = settings["variables"]
        if not 1 <= len(names) <= MAX_VARIABLES:
            found["variables"] = f"give 1 to {MAX_VARIABLES} names with values"
        for name in names:
            if not secrets.get(name):
                found[f"variables.{name}"] = "needs a value"
        if settings["host"] or settings["port"] is not None:
            where = {
                "host": host_problem(settings["host"]),
                "port": port_problem(settings["port"]),
            }
            found |= {name: problem for name, problem in where.items() if problem}
        return found

    def variables(self, settings: Settings, secrets: Secrets) -> Variables:
        """Return what was given."""
        return Variables({}, {name: secrets[name] for name in settings["variables"]})

    def kept(self, settings: Settings) -> Mapping[str, str]:
        """Return that each variable keeps itself."""
        return {name: name for name in settings["variables"]}

    def destinations(self, settings: Settings) -> tuple[Destination, ...]:
        """Return where it listens, if anybody said."""
        if not settings["host"] or settings["port"] is None:
            return ()
        return (Destination(settings["host"], settings["port"]),)


KIND: Kind = Custom()
