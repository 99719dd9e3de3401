"""The lean process that ``start.run`` turns into: reads its configuration from the descriptor it is given."""

import os
import sys


def main() -> int:
    """Run the process and return its exit code."""
    # psycopg2 loads Python's ssl to tell an OpenSSL of before 1.1 of threads, and goes on without: two megabytes.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    from appliance.egress.config import EgressConfig  # noqa: PLC0415 - after that
    from appliance.egress.process import serve  # noqa: PLC0415 - after that

    del sys.modules["ssl"]
    with os.fdopen(int(sys.argv[1]), "rb") as file:
        config = EgressConfig.from_json(file.read())
    return serve(config)


if __name__ == "__main__":
    sys.exit(main())
