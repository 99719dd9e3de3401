"""The lean process that ``start.run`` turns into: reads its configuration from the descriptor it is given."""

import os
import sys

from appliance.egress.config import EgressConfig
from appliance.egress.process import serve

if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        found = EgressConfig.from_json(file.read())
    sys.exit(serve(found))
