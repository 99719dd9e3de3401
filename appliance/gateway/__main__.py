"""The lean process that ``start.run`` turns into: reads its configuration, and what a predecessor left, from descriptors."""

import os
import sys

from appliance.gateway.config import GatewayConfig
from appliance.gateway.handover import Handed
from appliance.gateway.succession import supervise
from appliance.observability.logs import configure

if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        config = GatewayConfig.from_json(file.read())
    configure(config.log_level, config.log_format)  # type: ignore[arg-type]
    handed = Handed.load(int(sys.argv[2])) if len(sys.argv) > 2 else None  # noqa: PLR2004 - the last of two
    sys.exit(supervise(config, handed))
