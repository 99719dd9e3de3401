"""What the front door speaks and refuses, tried byte by byte; and each trial is seen failing on a fault that is planted.

Nginx runs as it does in the product, with certificates of the own CA, before a real hub and gateway.
"""

import asyncio
import re
import ssl
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from typing import Final

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from appliance.certificates.first import CaFile
from appliance.certificates.shelf import Shelf
from appliance.core.clock import now
from appliance.core.front_door import certificate_file
from appliance.infra.handed_files import Reader
from appliance.infra.sealing import Sealer
from appliance.proxy import nginx
from appliance.proxy.render import generation_in
from tests.harness.front_door import NAME, FrontDoor, front_door
from tests.harness.front_door_world import HeaderCounts, World, world
from tests.harness.tls import (
    SSL_3,
    TLS_1_0,
    TLS_1_1,
    TLS_1_2,
    accepted_suites,
    hello,
    is_resumed,
    suite_names,
)
from tests.harness.waiting import until
from tests.proofs.claim import ClaimBrokenError, hold
from tests.proofs.needs import need_programs

SHOP = "shop.example.com"
GOOD_SUITE = re.compile(
    r"ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM-SHA(256|384)|CHACHA20-POLY1305)"
)
#: Days that browsers take a certificate for.
MOST_DAYS = 398
#: What somebody might ask for to be shown another file, or to have Nginx stumble.
TRICKS: Final = (
    b"../own-ca/root",
    b"../certificates/shop.example.com",
    b"/etc/ssl/private/key",
    b"shop.example.com/../shop.example.com",
    b"shop.example.com\x00.org",
    b"shop.example.com\n",
    b"SHOP.EXAMPLE.COM",
    b"$ssl_server_name",
    b"_.example.com",
    b"*.example.com",
    b"..",
    b"\xff\xfe\xfd",
    b"%2e%2e%2fown-ca%2froot",
    b"a." * 120 + b"com",
    b"10.0.0.1",
    b" ",
    b"default",
)
EVERYWHERE = ("Strict-Transport-Security", "X-Request-ID")
PAGES = ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy")

Trial = Callable[[FrontDoor], list[str]]


def prove() -> None:
    """Try everything, then plant the faults."""
    need_programs("openssl")
    home = Path(tempfile.mkdtemp(prefix="tls-", dir="/var/tmp"))
    try:
        with front_door(home) as door:
            lay(door, SHOP)
            complaints = {name: trial(door) for name, trial in TRIALS.items()}
            told = [
                f"{name}: {item}"
                for name, found in complaints.items()
                for item in found
            ]
            if told:
                raise ClaimBrokenError("\n".join(told))
            print(f"{len(TRIALS)} trials of TLS hold: {', '.join(TRIALS)}")
            seen = plant(door)
    finally:
        rmtree(home, ignore_errors=True)
    with world() as real:
        pages, sent = behind(real)
    hold(
        seen == len(FAULTS),
        f"{len(TRIALS)} trials of TLS, headers of {pages} pages, {sent} ways to smuggle refused by hub and gateway; "
        f"{seen} of {len(FAULTS)} planted faults seen",
    )


def lay(door: FrontDoor, host: str) -> None:
    """Give ``host`` a certificate of the own CA."""
    sealer = Sealer(door.settings.jwt_secret.get_secret_value().encode())
    own = CaFile(door.settings.proxy_dir, sealer).ensure()
    shelf = Shelf(door.settings.proxy_dir, Reader.named(door.settings.proxy_user))
    shelf.put(host, own.issue((host,), now()), now())


# -- TLS


def protocols(door: FrontDoor) -> list[str]:
    """1.2 and 1.3 are spoken, and nothing older."""
    found = []
    for version, word in (
        (0x0002, "SSL 2"),
        (SSL_3, "SSL 3"),
        (TLS_1_0, "TLS 1.0"),
        (TLS_1_1, "TLS 1.1"),
    ):
        if hello(door.https, version=version).suite is not None:
            found.append(f"{word} is spoken")
    if hello(door.https, version=TLS_1_2).version != TLS_1_2:
        found.append("TLS 1.2 is not spoken")
    context = door.trusting()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with door.handshake(NAME, context) as wire:
        cipher = wire.cipher()
    if cipher is None or not cipher[0].startswith("TLS_"):
        found.append(f"TLS 1.3 is spoken with {cipher}")
    return found


def suites(door: FrontDoor) -> list[str]:
    """Each of the 517 numbers is offered; what is taken is authenticated encryption with forward secrecy."""
    names = suite_names()
    taken = [names.get(item, hex(item)) for item in accepted_suites(door.https)]
    bad = [name for name in taken if not GOOD_SUITE.fullmatch(name)]
    return [f"{name} is taken" for name in bad] or ([] if taken else ["none is taken"])


def chain(door: FrontDoor) -> list[str]:
    """The chain is whole, for this name, by a key and a signature that browsers take, and not for longer than they like."""
    found = []
    with door.handshake(NAME, door.trusting()) as wire:
        shown = wire.getpeercert(binary_form=True)
    leaf = x509.load_der_x509_certificate(shown or b"")
    key = leaf.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or key.key_size < 256:
        found.append(f"the key is {key}")
    if (
        leaf.signature_hash_algorithm is None
        or leaf.signature_hash_algorithm.digest_size < 32
    ):
        found.append("the signature is weak")
    days = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days
    if days > MOST_DAYS:
        found.append(f"it is good for {days} days")
    try:
        door.handshake(NAME, ssl.create_default_context()).close()
        found.append("who does not know the authority trusts it")
    except ssl.SSLCertVerificationError:
        pass
    return found


def names(door: FrontDoor) -> list[str]:
    """Whatever a client asks for, it is shown the box's own certificate, that of the name, or nothing."""
    own = der(door, "default")
    found = []
    for asked in TRICKS:
        shown = hello(door.https, asked=asked).certificate
        if shown not in {None, own}:
            found.append(f"{asked!r} is shown another certificate")
    if hello(door.https).certificate != own:
        found.append("who asks for nothing is not shown the box's own")
    if hello(door.https, asked=b"localhost").certificate != own:
        found.append("a name without dots is not the box's own")
    if hello(door.https, asked=b"..\x00/x").certificate not in {None, own}:
        found.append("a broken name is shown another certificate")
    if hello(door.https, asked=SHOP.encode()).certificate != der(door, SHOP):
        found.append(f"{SHOP} is not shown its own")
    if hello(door.https, asked=b"nobody.example.com").certificate is not None:
        found.append("a name that nobody has is shown a certificate")
    return found


def der(door: FrontDoor, host: str) -> bytes:
    """Return the certificate that lies there for ``host``."""
    data = certificate_file(door.settings.proxy_dir, host).read_bytes()
    return x509.load_pem_x509_certificates(data)[0].public_bytes(Encoding.DER)


def old_attacks(door: FrontDoor) -> list[str]:
    """No compression, and nobody but the server begins a handshake within a connection."""
    found = []
    said = hello(door.https, compressions=b"\x01\x00")
    if said.compression != 0:
        found.append("what is sent is compressed")
    if not said.is_renegotiation_safe:
        found.append("secure renegotiation is not known")
    done = subprocess.run(
        ["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{door.https}"],
        input=b"R\n",
        capture_output=True,
        check=False,
        timeout=20,
    )
    said_so = done.stdout + done.stderr
    if b"RENEGOTIATING" not in said_so:
        found.append("the trial of renegotiation did not take place")
    elif done.returncode == 0:
        found.append("clients may renegotiate")
    return found


def resumption(door: FrontDoor) -> list[str]:
    """Who comes again goes on where they were, in both versions."""
    return [
        f"{version.name} is not resumed"
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
        if not is_resumed(door.https, NAME, door.root, version)
    ]


def leading(door: FrontDoor) -> list[str]:
    """Plain HTTP leads to TLS, also on the wrong port, and TLS says that it is to stay."""
    found = []
    for port in (door.http, door.https):
        answer = httpx.get(
            f"http://127.0.0.1:{port}/a?b=c", headers={"Host": f"{NAME}:{port}"}
        )
        to = answer.headers.get("Location", "")
        if answer.status_code != 308 or to not in {
            f"https://{NAME}:{door.https}/a?b=c",
            f"https://{NAME}:{port}/a?b=c",
        }:
            found.append(f"port {port} answers {answer.status_code} {to}")
    answer = asyncio.run(ask(door))
    if answer.headers.get_list("Strict-Transport-Security") != ["max-age=31536000"]:
        found.append("HSTS is not said once")
    if answer.headers["Server"] != "nginx":
        found.append(f"it calls itself {answer.headers['Server']}")
    return found


async def ask(door: FrontDoor) -> httpx.Response:
    """Return an answer that Nginx gives itself, because nobody is behind it."""
    async with door.client() as client:
        return await client.get("/")


TRIALS: Final[dict[str, Trial]] = {
    "protocols": protocols,
    "suites": suites,
    "chain": chain,
    "names": names,
    "old attacks": old_attacks,
    "resumption": resumption,
    "leading": leading,
}

#: Trial to what is written into the configuration for it to fail: pattern and what takes its place.
FAULTS: Final = (
    (
        "protocols",
        r"ssl_protocols TLSv1.2 TLSv1.3;\n(\s*)ssl_ciphers ",
        r"ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;\n\1ssl_ciphers ALL:@SECLEVEL=0:",
    ),
    ("suites", r"ssl_ciphers ", "ssl_ciphers ECDHE-ECDSA-AES128-SHA:"),
    ("names", r"default default;", "default $ssl_server_name;"),
    ("names", r'"~\^\(\?=[^\n]*\$ssl_server_name;', ""),
    ("resumption", r"ssl_session_cache shared:front:16m;", "ssl_session_cache off;"),
    ("leading", r"add_header Strict-Transport-Security[^\n]*", ""),
    ("leading", r"server_tokens off;", "server_tokens on;"),
    ("leading", r"return 308 https", "return 302 https"),
)


def plant(door: FrontDoor) -> int:
    """Plant each fault, and return how many of them its trial sees."""
    good = door.places.config.read_text()
    seen = 0
    for name, pattern, fault in FAULTS:
        bad, count = re.subn(pattern, fault, good)
        if not count:
            raise ClaimBrokenError(
                f"a fault for {name} could not be planted: {pattern}"
            )
        serve(door, bad.replace(generation_in(good), f"{seen:016x}"))
        complaints = TRIALS[name](door)
        print(f"planted: {name}: {complaints[:1] or 'NOT SEEN'}")
        seen += bool(complaints)
    serve(door, good)
    return seen


def serve(door: FrontDoor, text: str) -> None:
    """Have Nginx take a configuration that nobody rendered, and wait until nobody serves another."""
    door.places.config.write_text(text)
    complaint = asyncio.run(nginx.complaint(door.places.config))
    if complaint:
        raise ClaimBrokenError(f"Nginx does not take the fault: {complaint}")
    old = nginx.workers(door.places)
    nginx.hang_up(door.places)
    asyncio.run(until(lambda: not old & nginx.workers(door.places)))


# -- what stands behind


def behind(real: World) -> tuple[int, int]:
    """Look at the headers of every page, and try to smuggle; return how many of both."""
    wrong = []
    counts = real.headers_of_pages((*EVERYWHERE, *PAGES))
    for path, found in counts.items():
        wrong += complaints_about(path, found)
    for path in real.gateway_paths:
        wrong += [
            f"{path} says {name} {number} times"
            for name, number in real.headers_of(path, EVERYWHERE).items()
            if number != 1
        ]
    sent = 0
    for text in SMUGGLED:
        for path in ("/api/servers", *real.gateway_paths[:1]):
            sent += 1
            wrong += smuggles(real, path, text)
    if wrong:
        raise ClaimBrokenError("\n".join(wrong))
    return len(counts), sent


def complaints_about(path: str, found: HeaderCounts) -> list[str]:
    """Return what is said too often or not at all."""
    return [
        f"{path} says {name} {number} times"
        for name, number in found.items()
        if number != 1
    ]


#: Between the method and the end; after it comes what would be a second request.
SMUGGLED: Final = (
    b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    b"Transfer-Encoding: chunked\r\nContent-Length: 40\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
    b"Content-Length: +5\r\n\r\nhello",
    b"Content-Length: 5,5\r\n\r\nhello",
    b"Transfer-Encoding: chunked\r\n\r\n5;\nx\r\nhello\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
)
_SECOND = b"GET /smuggled HTTP/1.1\r\nHost: mcp.example.org\r\n\r\n"


def smuggles(real: World, path: str, text: bytes) -> list[str]:
    """Return what is wrong: the request got an answer that is no refusal, or what follows was taken for a second one."""
    head = f"POST {path} HTTP/1.1\r\nHost: {NAME}\r\n".encode()
    found = real.exchange(head + text + _SECOND)
    statuses = re.findall(rb"HTTP/1\.1 (\d{3})", found)
    if statuses and statuses[0] in {b"400", b"413", b"501"} and len(statuses) == 1:
        return []
    return [f"{text!r} to {path} is answered {statuses}"]
