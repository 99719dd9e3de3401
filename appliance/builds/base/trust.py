"""Runs once, while the base image is built: teaches it the certificates of the box.

Certificates that Debian does not have already become single files below
``/usr/local/share/ca-certificates``, so that a later ``update-ca-certificates`` keeps
them. They are also collected in one small file for Node, which parses what
``NODE_EXTRA_CA_CERTS`` names at every start.
"""

import pathlib
import re
import subprocess
import sys

STORE = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
LOCAL = pathlib.Path("/usr/local/share/ca-certificates/host")
EXTRA = pathlib.Path("/opt/mcp/base/extra-ca.pem")
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def certificates(text: str) -> list[str]:
    """Return the PEM blocks of ``text`` with line ends made equal."""
    return [
        "\n".join(block.split("\n")) + "\n"
        for block in PEM.findall(text.replace("\r", ""))
    ]


def main() -> None:
    """Add what is missing."""
    known = certificates(STORE.read_text())
    host = certificates(pathlib.Path(sys.argv[1]).read_text())
    missing = [item for item in dict.fromkeys(host) if item not in set(known)]
    LOCAL.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(missing):
        (LOCAL / f"{number:03}.crt").write_text(item)
    # Node warns of an empty file, so without extra certificates it gets one that it
    # knows.
    EXTRA.write_text("".join(missing or known[:1]))
    subprocess.run(["/usr/sbin/update-ca-certificates"], check=True)
    print(f"{len(missing)} certificates of this box added to Debian's {len(known)}.")


main()
