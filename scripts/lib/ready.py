"""Asks an address whether all is well: prints what it says, and exits 0 only on a 200."""

import sys
import urllib.error
import urllib.request

TIMEOUT_S = 5

try:
    with urllib.request.urlopen(sys.argv[1], timeout=TIMEOUT_S) as response:
        print(response.read().decode())
except urllib.error.HTTPError as error:
    print(error.read().decode())
    sys.exit(1)
except OSError as error:
    print(error)
    sys.exit(1)
