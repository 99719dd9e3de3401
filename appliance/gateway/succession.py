"""Where a master begins: with a port of its own, with what another handed over, or with what one left that was killed."""

import signal
import sys
from pathlib import Path

import structlog

from appliance.gateway.binding import bind, problem
from appliance.gateway.config import GatewayConfig
from appliance.gateway.handover import Handed
from appliance.gateway.master import Master
from appliance.gateway.processes import kill
from appliance.gateway.roll import inherited, orphans
from appliance.gateway.snapshot import Snapshot

log = structlog.get_logger("gateway.master")


def supervise(config: GatewayConfig, handed: Handed | None = None) -> int:
    """Run the gateway and return its exit code. Blocking.

    Args:
        config: Of the gateway.
        handed: What a predecessor left; ``None``: there was none.
    """
    handed = handed or _left_behind(config)
    if handed is not None:
        master = _successor(config, handed)
    else:
        try:
            master = Master(config, bind(config))
        except OSError as error:
            print(problem(config, error), file=sys.stderr)  # noqa: T201 - for who started it
            return 1
    log.info(
        "gateway_listening",
        host=config.host,
        port=config.port,
        workers=config.workers,
        release=config.release,
        turn=master.turn,
    )
    master.watch()
    return 0


def _left_behind(config: GatewayConfig) -> Handed | None:
    """Return what a master left that was killed; its children end if it cannot be taken over."""
    roll = orphans(Path(config.bridge_socket).parent)
    if roll is None:
        return None
    handed = inherited(roll, (config.host, config.port))
    pids = [child.pid for child in roll.children]
    log.warning("children_left_behind", pids=pids, taken_over=handed is not None)
    if handed is None:
        for pid in pids:
            kill(pid, signal.SIGTERM)
    return handed


def _successor(config: GatewayConfig, handed: Handed) -> Master:
    listener = handed.socket()
    if listener.getsockname()[:2] != (config.host, config.port):
        # Clients are where they were; the new address counts when the gateway is started anew.
        log.warning("address_kept", address=listener.getsockname()[:2])
    return Master(
        config,
        listener,
        handed.children,
        handed.turn + 1,
        snapshot=Snapshot(handed.snapshot),
    )
