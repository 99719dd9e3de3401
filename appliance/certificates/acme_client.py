"""Speaks ACME (RFC 8555) with one authority, in steps that can be gone on with after a crash. All of it is blocking.

The library's own waiting goes by the wall clock, which may be set, and it believes a nonce to be refused once at most; so
both are done here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from appliance.certificates.acme_failures import retry_after_of, translated
from appliance.certificates.challenges import Challenge, ChallengeKind
from appliance.certificates.errors import AttemptError
from appliance.certificates.model import ErrorKind
from appliance.certificates.pem import general_names, private_pem
from appliance.certificates.window import Window, window_id

USER_AGENT = "mcp-host/1"
#: Nonces that may be refused in a row: at an authority that refuses every other one, one post in a thousand fails.
NONCES = 10
#: Seconds for one answer.
_PATIENCE_S = 30
#: Seconds for authorizations, and for the certificate itself.
_DEADLINE_S = 120.0
_LOOK_EVERY_S = (0.2, 0.5, 1.0, 2.0)
_DONE = (messages.STATUS_VALID, messages.STATUS_INVALID)


@dataclass(frozen=True)
class External:
    """An account made elsewhere, to which the one here is bound (EAB)."""

    key_id: str
    hmac_key: str

    def __repr__(self) -> str:
        """Return it without its key."""
        return f"External({self.key_id!r})"


class _Network(ClientNetwork):
    """The library's, more patient with nonces; remembers how long the authority asked to be left alone."""

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self.retry_after: timedelta | None = None
        self.session.hooks["response"].append(self._note)

    def _note(self, response: Any, *_args: Any, **_words: Any) -> None:
        if not response.ok:
            self.retry_after = retry_after_of(response.headers.get("Retry-After"))

    def post(self, *args: Any, **words: Any) -> Any:
        for is_last in (*[False] * NONCES, True):
            try:
                return self._post_once(*args, **words)
            except messages.Error as error:
                if is_last or error.code != "badNonce":
                    raise
        raise AssertionError("unreachable")


class AcmeClient:
    """One authority, as one account or as whoever holds a certificate's key.

    Args:
        key: PEM of the key that signs what is said: the account's.
        uri: The account; empty: none yet.
        ca_file: By which the directory itself is trusted; ``None``: as the system does.

    Every method raises ``AttemptError`` with the kind of what went wrong.
    """

    def __init__(
        self, directory_url: str, key: bytes, *, uri: str = "", ca_file: Path | None
    ) -> None:
        """Keep the parts; nobody is asked yet."""
        self._url = directory_url
        private = load_pem_private_key(key, password=None)
        self._key = JWKEC(key=private)
        self._network = _Network(
            key=self._key,
            alg=ES256,
            # The library says bool and hands it to requests, which takes a path, too.
            verify_ssl=str(ca_file) if ca_file else True,
            user_agent=USER_AGENT,
            timeout=_PATIENCE_S,
        )
        if uri:
            self._network.account = messages.RegistrationResource(
                uri=uri, body=messages.Registration()
            )
        self._client: ClientV2 | None = None

    def _acme(self) -> ClientV2:
        if self._client is None:
            directory = ClientV2.get_directory(self._url, self._network)
            self._client = ClientV2(directory, self._network)
        return self._client

    def register(self, email: str, external: External | None) -> str:
        """Make an account, or find the one that this key has already, and return its URI."""
        refused = ErrorKind.ACCOUNT_REFUSED if external else ErrorKind.ACCOUNT
        with translated(self._network, unauthorized=refused):
            client = self._acme()
            binding = None
            if external is not None:
                binding = messages.ExternalAccountBinding.from_data(
                    self._key.public_key(), external.key_id, external.hmac_key, client.directory
                )  # fmt: skip
            elif client.external_account_required():
                raise AttemptError(
                    ErrorKind.ACCOUNT_REFUSED,
                    "The authority wants an account made elsewhere: set ACME_EAB_KEY_ID and ACME_EAB_HMAC_KEY.",
                )
            wanted = messages.NewRegistration.from_data(
                email=email,
                terms_of_service_agreed=True,
                external_account_binding=binding,
            )
            try:
                return str(client.new_account(wanted).uri)
            except errors.ConflictError as error:
                # It was made by a process that was killed before it could tell.
                self._network.account = messages.RegistrationResource(
                    uri=error.location, body=messages.Registration()
                )
                return error.location

    def begin(self, csr: bytes) -> "messages.OrderResource":
        """Order what ``csr`` asks for; the result's ``uri`` is how to go on with it."""
        with translated(self._network, unauthorized=ErrorKind.ACCOUNT):
            return self._acme().new_order(csr)

    def resume(self, uri: str, csr: bytes) -> "messages.OrderResource | None":
        """Return the order that was begun; ``None``: the authority has given it up."""
        with translated(self._network):
            try:
                body = messages.Order.from_json(self._ask(uri).json())
            except messages.Error as error:
                if error.code in {"malformed", "accountDoesNotExist", "unauthorized"}:
                    return None
                raise
            if body.status == messages.STATUS_INVALID:
                return None
            found = [self._authorization(url) for url in body.authorizations]
            return messages.OrderResource(
                body=body, uri=uri, authorizations=found, csr_pem=csr
            )

    def challenges(
        self, order: "messages.OrderResource", kinds: Any
    ) -> list[Challenge]:
        """Return what has to be shown to the authority for ``order``.

        Args:
            kinds: Name to the kind of challenge that is used for it.
        """
        found = []
        for authorization in order.authorizations:
            if authorization.body.status != messages.STATUS_PENDING:
                continue
            host = authorization.body.identifier.value
            name = f"*.{host}" if authorization.body.wildcard else host
            kind: ChallengeKind = kinds(name)
            found.append(self._challenge(authorization, host, name, kind))
        return found

    def _challenge(
        self, authorization: Any, host: str, name: str, kind: ChallengeKind
    ) -> Challenge:
        classes = {
            ChallengeKind.HTTP: challenges.HTTP01,
            ChallengeKind.DNS: challenges.DNS01,
        }
        for item in authorization.body.challenges:
            chall = item.chall
            if isinstance(chall, classes[kind]):
                _, value = chall.response_and_validation(self._key)
                label = (
                    chall.validation_domain_name(host)
                    if kind is ChallengeKind.DNS
                    else chall.encode("token")
                )
                return Challenge(kind, name, label, value, item, authorization.uri)  # fmt: skip
        raise AttemptError(
            ErrorKind.REJECTED,
            f"The authority does not take {kind.value} for {name}.",
        )

    def answer(self, asked: Sequence[Challenge]) -> None:
        """Have the authority look at what is shown, and wait until it has."""
        with translated(self._network):
            for item in asked:
                self._acme().answer_challenge(
                    item.body, item.body.chall.response(self._key)
                )
            for item in asked:
                end = time.monotonic() + _DEADLINE_S
                authorization = self._authorization(item.uri)
                for pause_s in _pauses(end):
                    if authorization.body.status != messages.STATUS_PENDING:
                        break
                    time.sleep(pause_s)
                    authorization = self._authorization(item.uri)
                _demand_valid(authorization, item)

    def finish(self, order: "messages.OrderResource") -> str:
        """Have the certificate issued, and return its chain."""
        with translated(self._network):
            end = time.monotonic() + _DEADLINE_S
            order = self._look(order)
            is_asked = False
            for pause_s in _pauses(end):
                if order.body.status in _DONE:
                    break
                if order.body.status == messages.STATUS_READY and not is_asked:
                    self._acme().begin_finalization(order)
                    is_asked = True
                time.sleep(pause_s)
                order = self._look(order)
            if order.body.status == messages.STATUS_VALID and order.body.certificate:
                return str(self._ask(order.body.certificate).text)
            if order.body.status == messages.STATUS_INVALID:
                raise order.body.error or errors.Error("the order became invalid")
            raise errors.TimeoutError

    def revoke(self, chain: str) -> None:
        """Revoke the first certificate of ``chain``; done twice, it is done."""
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
        with translated(self._network):
            try:
                self._acme().revoke(leaf, 0)
            except messages.Error as error:
                if error.code != "alreadyRevoked":
                    raise

    def window(self, chain: str) -> Window | None:
        """Return when the authority wants the first certificate of ``chain`` renewed (RFC 9773); ``None``: it does not say."""
        with translated(self._network):
            base = self._acme().directory.to_partial_json().get("renewalInfo")
            if not base:
                return None
            answer = self._network.get(f"{base}/{window_id(chain)}")
            return Window.read(answer.json())

    def _look(self, order: "messages.OrderResource") -> "messages.OrderResource":
        body = messages.Order.from_json(self._ask(str(order.uri)).json())
        return messages.OrderResource(**{**dict(order), "body": body})

    def _authorization(self, url: str) -> "messages.AuthorizationResource":
        return messages.AuthorizationResource(
            body=messages.Authorization.from_json(self._ask(url).json()), uri=url
        )

    def _ask(self, url: str) -> Any:
        nonces = self._acme().directory["newNonce"]
        return self._network.post(url, None, new_nonce_url=nonces)


def _pauses(end: float) -> Any:
    turn = 0
    while time.monotonic() < end:
        yield _LOOK_EVERY_S[min(turn, len(_LOOK_EVERY_S) - 1)]
        turn += 1


def _demand_valid(authorization: Any, item: Challenge) -> None:
    if authorization.body.status == messages.STATUS_VALID:
        return
    if authorization.body.status == messages.STATUS_PENDING:
        raise errors.TimeoutError
    for found in authorization.body.challenges:
        if found.error is not None:
            raise found.error
    raise AttemptError(ErrorKind.UNAUTHORIZED, f"The authority refused {item.name}.")


def new_key() -> bytes:
    """Return a new key, for an account or a certificate, as PEM."""
    return private_pem(ec.generate_private_key(ec.SECP256R1()))


def request_for(names: Sequence[str], key: bytes) -> bytes:
    """Return the request for a certificate of ``names``, as PEM."""
    private = load_pem_private_key(key, password=None)
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(
        general_names(names), critical=False
    )
    return request.sign(private, SHA256()).public_bytes(Encoding.PEM)  # type: ignore[arg-type]
