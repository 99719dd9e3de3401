"""From the ``mcp-host`` command to the lean process."""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from appliance.core.egress import bridge_prefix
from appliance.egress.config import from_settings
from appliance.egress.errors import NoRightsError

if TYPE_CHECKING:
    from appliance.settings import Settings


def run(settings: "Settings") -> NoReturn:
    """Become the egress process. Does not return; like the gateway it leaves behind what read the settings."""
    from appliance.infra.connections import connection_arguments  # noqa: PLC0415 - as above
    from appliance.infra.identity import installation_id  # noqa: PLC0415 - not for the lean process
    from appliance.infra.postgres import database_url  # noqa: PLC0415 - as above

    owner = installation_id(settings.data_dir)
    config = from_settings(
        settings, connection_arguments(database_url(settings)), owner=owner
    )
    descriptor = os.memfd_create("egress-config", 0)
    os.write(descriptor, config.to_json().encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    # Without site-packages' start files, which would load what is not needed.
    arguments = [sys.executable, "-P", "-m", "appliance.egress", str(descriptor)]
    os.execv(sys.executable, arguments)  # noqa: S606 - our own interpreter


def remove(settings: "Settings", owner: str = "") -> None:
    """Take an installation's rules out of the firewall; nothing else is touched.

    Servers that still run then reach nothing: only a running egress process lets them out.

    Args:
        settings: Of this one.
        owner: Its id, if it is another than this one.

    Raises:
        NoRightsError: The box's tool refused.
    """
    from appliance.egress import command, rules  # noqa: PLC0415 - not for who only starts
    from appliance.infra.identity import installation_id  # noqa: PLC0415 - as above

    prefix = bridge_prefix(owner or installation_id(settings.data_dir))
    ground = rules.Ground(prefix, settings.server_subnet_pool, 0, 0, 0)
    if complaint := command.run("nft", "-f", "-", text=rules.removal(ground)):
        raise NoRightsError(f"The rules could not be removed: {complaint}")
