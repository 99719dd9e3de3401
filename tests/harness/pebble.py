"""A certificate authority that speaks ACME: the real ``pebble``, with names that ``pebble-challtestsrv`` makes up."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.harness.ports import free_port

PATIENCE_S = 20.0
#: Every other nonce is refused, as a busy authority might.
NONCE_REJECT = 50


@dataclass
class Pebble:
    """The running pair; ports of loopback.

    Every name leads to 127.0.0.1 unless ``lead`` says otherwise, and http-01 asks ``http_port`` there.
    """

    home: Path
    http_port: int
    port: int
    management_port: int
    dns_port: int
    names_port: int
    #: Percent of nonces that are refused.
    nonce_reject: int
    #: Seconds that certificates are good for.
    valid_s: int
    #: Key ids and HMAC keys of external accounts; empty: none is wanted.
    external_accounts: Mapping[str, str]
    #: ``host:port`` that pebble asks for names, where it is not the pair's own.
    dns_server: str | None
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def directory_url(self) -> str:
        """ACME_DIRECTORY_URL."""
        return f"https://localhost:{self.port}/dir"

    @property
    def ca_file(self) -> Path:
        """ACME_CA_FILE: what the directory's own certificate is trusted by."""
        return self.home / "directory.pem"

    @property
    def dns(self) -> str:
        """``host:port`` of the made-up names."""
        return f"127.0.0.1:{self.dns_port}"

    def start(self) -> None:
        """Start pebble; it remembers nothing of a run before."""
        environment = {
            "PATH": os.environ["PATH"],
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_WFE_NONCEREJECT": str(self.nonce_reject),
            # What was authorized once is asked again, so that a test sees each asking.
            "PEBBLE_AUTHZREUSE": "0",
        }
        with (self.home / "pebble.log").open("ab") as log:
            self._running.append(
                subprocess.Popen(
                    ["pebble", "-config", "pebble.json", "-dnsserver", self.dns_server or self.dns],
                    cwd=self.home, env=environment, stdout=log, stderr=subprocess.STDOUT,
                )
            )  # fmt: skip
        _listens(self.port)

    def stop(self) -> None:
        """Let nobody answer at the directory's address."""
        while self._running:
            process = self._running.pop()
            process.terminate()
            process.wait()

    def root(self) -> str:
        """Return the certificate that everything issued in this run is trusted by."""
        url = f"https://localhost:{self.management_port}/roots/0"
        trusted = ssl.create_default_context(cafile=self.ca_file)
        with urllib.request.urlopen(url, context=trusted) as answer:
            return str(answer.read().decode())

    def lead(self, host: str, address: str) -> None:
        """Let ``host`` lead to ``address`` from now on."""
        self._tell("clear-a", host=f"{host}.")
        self._tell("add-a", host=f"{host}.", addresses=[address])

    def break_name(self, host: str) -> None:
        """Let asking for ``host`` fail."""
        self._tell("set-servfail", host=f"{host}.")

    def mend_name(self, host: str) -> None:
        """Let asking for ``host`` work again."""
        self._tell("clear-servfail", host=f"{host}.")

    def set_txt(self, host: str, value: str) -> None:
        """Give ``host`` a TXT record."""
        self._tell("set-txt", host=f"{host}.", value=value)

    def clear_txt(self, host: str) -> None:
        """Take the TXT records of ``host`` away."""
        self._tell("clear-txt", host=f"{host}.")

    def _tell(self, what: str, **words: Any) -> None:
        url = f"http://127.0.0.1:{self.names_port}/{what}"
        with urllib.request.urlopen(url, data=json.dumps(words).encode()):
            pass


@contextlib.contextmanager
def pebble(
    *,
    http_port: int | None = None,
    nonce_reject: int = NONCE_REJECT,
    valid_s: int = 90 * 86400,
    external_accounts: Mapping[str, str] | None = None,
    dns_server: str | None = None,
) -> Iterator[Pebble]:
    """Run pebble and its names.

    Args:
        http_port: Where http-01 is answered; ``None``: a free port, to be read from the result.
    """
    with tempfile.TemporaryDirectory() as home:
        made = Pebble(
            Path(home),
            http_port=http_port or free_port(),
            port=free_port(),
            management_port=free_port(),
            dns_port=free_port(),
            names_port=free_port(),
            nonce_reject=nonce_reject,
            valid_s=valid_s,
            external_accounts=external_accounts or {},
            dns_server=dns_server,
        )
        _configure(made)
        names = subprocess.Popen(
            [
                "pebble-challtestsrv", "-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "",
                "-dns01", made.dns, "-management", f"127.0.0.1:{made.names_port}",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _listens(made.names_port)
            made.start()
            yield made
        finally:
            made.stop()
            names.terminate()
            names.wait()


def _configure(made: Pebble) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (made.home / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    made.ca_file.write_bytes(_localhost(key).public_bytes(Encoding.PEM))
    words = {
        "listenAddress": f"127.0.0.1:{made.port}",
        "managementListenAddress": f"127.0.0.1:{made.management_port}",
        "certificate": "directory.pem",
        "privateKey": "key.pem",
        "httpPort": made.http_port,
        "tlsPort": free_port(),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": bool(made.external_accounts),
        "externalAccountMACKeys": dict(made.external_accounts),
        "certificateValidityPeriod": made.valid_s,
    }
    (made.home / "pebble.json").write_text(json.dumps({"pebble": words}))


def _localhost(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pebble")])
    # A test may set the clock back or ahead of it.
    today = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=3650))
        .not_valid_after(today + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )  # fmt: skip


def _listens(port: int) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens at port {port}")
