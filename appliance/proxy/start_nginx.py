"""From the ``mcp-host nginx`` command to Nginx itself."""

import asyncio
import os
from typing import NoReturn

import structlog

from appliance.certificates.first import ensure_box_certificate
from appliance.infra.directories import own_directory
from appliance.infra.handed_files import Reader
from appliance.observability import logs
from appliance.proxy import nginx
from appliance.proxy.configuring import Configuration, box_of, make_run_dirs
from appliance.proxy.directories import prepare
from appliance.proxy.errors import NginxRefusedError
from appliance.proxy.orphans import make_way
from appliance.proxy.plan import plan_of
from appliance.settings import Settings

log = structlog.get_logger("proxy")


def exec_nginx(settings: Settings) -> NoReturn:
    """Become Nginx in the foreground, with a configuration and certificates that are there before anything else is.

    Needs neither Postgres nor the hub.

    Raises:
        NginxMissingError: It is not installed.
        NginxRefusedError: It takes neither what the settings say nor what it took before.
        PortInUseError: Somebody else has a port.
    """
    logs.configure(settings.log_level, settings.log_format)
    reader = Reader.named(settings.proxy_user)
    prepare(settings.proxy_dir.absolute(), reader)
    passable = 0o711 if os.geteuid() == 0 else 0o700
    own_directory(settings.run_dir.absolute(), mode=passable)
    configuration = Configuration(settings, reader)
    make_run_dirs(configuration.places)
    ensure_box_certificate(settings)
    asyncio.run(_bring_up_to_date(configuration))
    plan = plan_of(settings, box_of(), ())
    make_way(configuration.places, plan.addresses, (plan.http_port, plan.https_port))
    command = nginx.command(configuration.places.config)
    os.execv(command[0], command)  # noqa: S606 - the point of this function


async def _bring_up_to_date(configuration: Configuration) -> None:
    made = await configuration.make()
    for item in made.quarantined:
        log.warning(
            "proxy.quarantined", kind=item.kind, name=item.name, why=item.reason
        )
    if not made.problem:
        return
    log.error("proxy.not_configured", problem=made.problem)
    places = configuration.places
    if places.config.exists() and not await nginx.complaint(places.config):
        return
    if not await configuration.go_back():
        raise NginxRefusedError(made.problem)
