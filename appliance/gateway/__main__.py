"""The lean process that ``master.run`` turns into: reads its configuration from the descriptor it is given."""

import os
import sys

from appliance.gateway.config import GatewayConfig
from appliance.gateway.master import supervise
from appliance.observability.logs import configure

if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        config = GatewayConfig.from_json(file.read())
    configure(config.log_level, config.log_format)  # type: ignore[arg-type]
    sys.exit(supervise(config))
