"""Carries out one order, or one revocation, at an authority, and keeps what came of it.

Everything that a successor would need is in Postgres before the authority hears of it: the account's key, the order's key,
the order's address. So an order that was killed at any line is gone on with, and costs the authority nothing twice.
"""

import asyncio
from datetime import datetime, timedelta

import structlog

from appliance.certificates import account_store, store
from appliance.certificates.acme_client import (
    AcmeClient,
    External,
    new_key,
    request_for,
)
from appliance.certificates.answers import Answers
from appliance.certificates.challenges import Ways
from appliance.certificates.errors import AttemptError, CertificateInvalidError
from appliance.certificates.keys import account_purpose, key_purpose
from appliance.certificates.lifecycle import (
    WINDOW_EVERY,
    backoff,
    failed_again,
    is_misfit,
    renewal,
    renewal_in,
)
from appliance.certificates.model import (
    OF_AUTHORITY,
    Account,
    Certificate,
    ErrorKind,
    Issued,
    Status,
)
from appliance.certificates.pem import described, read
from appliance.certificates.telling import happened
from appliance.core.clock import now
from appliance.infra.database import Database
from appliance.infra.sealing import Sealer, UnsealError
from appliance.settings import Settings

log = structlog.get_logger("certificates")

#: After these the same order can go on.
_ORDER_SURVIVES = frozenset({ErrorKind.CA_DOWN, ErrorKind.NONCE})


class Orderer:
    """Orders at the authority that the settings name.

    Args:
        sealer: For keys.
        answers: Shows the authority what it wants to see.
    """

    def __init__(
        self, database: Database, settings: Settings, sealer: Sealer, answers: Answers
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._sealer = sealer
        self._answers = answers
        self._directory_url = settings.acme_directory
        self._email = settings.acme_email or ""
        self._ca_file = settings.acme_ca_file
        self._ways = Ways(
            settings.acme_challenge, settings.can_set_records, settings.base_domain
        )
        hmac_key = settings.acme_eab_hmac_key
        self._external = (
            External(settings.acme_eab_key_id, hmac_key.get_secret_value())
            if settings.acme_eab_key_id and hmac_key
            else None
        )
        #: One account, although several orders begin at once.
        self._registering = asyncio.Lock()

    async def order(self, certificate: Certificate) -> None:
        """Order ``certificate``, or go on with its order; what comes of it is kept, be it good or bad.

        Raises:
            DatabaseUnavailableError: Postgres went away; the order is gone on with when it is back.
        """
        try:
            issued = await self._issue(certificate)
        except AttemptError as error:
            log.warning(
                "certificates.order_failed",
                certificate_id=certificate.id,
                kind=error.kind.value,
                error=error.detail,
            )
            await self._database.run(self._keep_failure, certificate.id, error)
            return
        if issued is not None:
            await self._database.run(self._keep, certificate.id, issued)
            log.info("certificates.issued", certificate_id=certificate.id, names=issued.names)  # fmt: skip

    async def _issue(self, certificate: Certificate) -> Issued | None:
        client = await self._client()
        key = await self._database.run(self._order_key, certificate.id)
        order = None
        if certificate.has_order and key is not None:
            csr = request_for(certificate.names, key)
            order = await asyncio.to_thread(client.resume, certificate.order_url, csr)
            if order is None:
                # Whether another one may be ordered is decided anew.
                await self._database.run(self._forget_order, certificate.id)
                return None
        if order is None or key is None:
            key = new_key()
            await self._database.run(self._begin, certificate, key)
            csr = request_for(certificate.names, key)
            order = await asyncio.to_thread(client.begin, csr)
            await self._database.run(self._begun, certificate.id, str(order.uri))
        asked = await asyncio.to_thread(client.challenges, order, self._ways.kind_for)
        if asked:
            async with self._answers.shown(asked):
                await asyncio.to_thread(client.answer, asked)
            names = ", ".join(item.name for item in asked)
            text = f"The authority saw that {names} leads here."
            await self._database.run(happened, certificate.id, "shown", text)
        chain = await asyncio.to_thread(client.finish, order)
        return _checked(chain, key, certificate.names, now())

    async def _client(self) -> AcmeClient:
        async with self._registering:
            account, key = await self._database.run(self._account)
            client = AcmeClient(
                self._directory_url, key, uri=account.uri, ca_file=self._ca_file
            )
            if not account.uri:
                uri = await asyncio.to_thread(
                    client.register, self._email, self._external
                )
                await self._database.run(
                    account_store.change, self._directory_url, uri=uri, status="valid"
                )
                log.info("certificates.account_made", uri=uri)
        return client

    def _account(self) -> tuple[Account, bytes]:
        for _ in range(2):
            found = account_store.get(self._directory_url)
            if found is not None:
                account, sealed = found
                try:
                    return account, self._sealer.unseal(sealed, self._account_purpose)
                except UnsealError:
                    log.warning("certificates.account_key_lost")
            self._new_account()
        raise AssertionError("unreachable: an account was just written")

    @property
    def _account_purpose(self) -> str:
        return account_purpose(self._directory_url)

    def _new_account(self) -> None:
        sealed = self._sealer.seal(new_key(), self._account_purpose)
        account_store.begin(self._directory_url, sealed, self._email)

    def _order_key(self, certificate_id: int) -> bytes | None:
        sealed = store.next_key_of(certificate_id)
        if sealed is None:
            return None
        try:
            return self._sealer.unseal(sealed, key_purpose(certificate_id))
        except UnsealError:
            return None

    def _begin(self, certificate: Certificate, key: bytes) -> None:
        store.change(
            certificate.id,
            status=Status.ORDERING.value,
            next_key_sealed=self._sealer.seal(key, key_purpose(certificate.id)),
            order_url="",
            attempted_at=now(),
        )
        names = ", ".join(certificate.names)
        text = f"{names} ordered at {self._directory_url}."
        happened(certificate.id, "ordered", text)

    def _begun(self, certificate_id: int, order_url: str) -> None:
        store.change(certificate_id, order_url=order_url)
        account_store.keep_success(self._directory_url)

    def _forget_order(self, certificate_id: int) -> None:
        store.change(
            certificate_id,
            status=Status.WANTED.value,
            order_url="",
            next_key_sealed=None,
        )

    def _keep(self, certificate_id: int, issued: Issued) -> None:
        store.keep_issued(
            certificate_id,
            issued,
            self._sealer.seal(issued.key, key_purpose(certificate_id)),
            renew_at=renewal(issued.not_before, issued.not_after, issued.serial),
            directory_url=self._directory_url,
        )
        store.change(certificate_id, window_check_at=now())
        until = f"{issued.not_after:%Y-%m-%d %H:%M} UTC"
        happened(certificate_id, "issued", f"{issued.issuer} issued it until {until}.")

    def _keep_failure(self, certificate_id: int, error: AttemptError) -> None:
        certificate = store.get(certificate_id)
        again = self._again_at(certificate, error)
        if error.kind in OF_AUTHORITY:
            again = self._blame_authority(error) or again
        store.keep_failure(
            certificate,
            error.kind,
            error.detail,
            next_attempt_at=again,
            forgets_order=error.kind not in _ORDER_SURVIVES,
        )
        said = error.detail.rstrip(" .")
        text = f"{said}. Tried again after {again:%Y-%m-%d %H:%M:%S} UTC."
        happened(certificate_id, "failed", text)

    def _again_at(self, certificate: Certificate, error: AttemptError) -> datetime:
        wait = backoff(
            error.kind,
            failed_again(certificate.attempts, certificate.error_kind, error.kind),
            error.retry_after,
            str(certificate.id),
        )
        return now() + wait

    def _blame_authority(self, error: AttemptError) -> datetime | None:
        found = account_store.get(self._directory_url)
        if found is None:
            return None
        account, _ = found
        attempts = failed_again(account.attempts, account.error_kind, error.kind)
        wait = backoff(error.kind, attempts, error.retry_after, self._directory_url)
        if error.kind is ErrorKind.ACCOUNT:
            # An account that was revoked stays so; its key can get no other.
            self._new_account()
        account_store.keep_failure(account, error.kind, error.detail, now() + wait)
        return now() + wait

    async def revoke(self, certificate: Certificate) -> None:
        """Tell the authority that issued ``certificate`` that it counts no more; what comes of it is kept.

        It is signed with the certificate's own key, so it does not take the account under which it was ordered.
        """
        key = await self._database.run(self._key, certificate.id)
        if key is not None:
            client = AcmeClient(certificate.directory_url, key, ca_file=self._ca_file)
            chain = (await self._database.run(store.chain_of, certificate.id)) or ""
            try:
                await asyncio.to_thread(client.revoke, chain)
            except AttemptError as error:
                await self._database.run(self._keep_unrevoked, certificate.id, error)
                return
        await self._database.run(self._keep_revoked, certificate.id)
        log.info("certificates.revoked", certificate_id=certificate.id)

    def _key(self, certificate_id: int) -> bytes | None:
        sealed = store.key_of(certificate_id)
        if sealed is None:
            return None
        try:
            return self._sealer.unseal(sealed, key_purpose(certificate_id))
        except UnsealError:
            return None

    def _keep_revoked(self, certificate_id: int) -> None:
        store.change(
            certificate_id,
            status=Status.REVOKED.value,
            # Its fingerprint stays, so that it is known where it is still served.
            chain=None,
            key_sealed=None,
            not_before=None,
            not_after=None,
            attempts=0,
            next_attempt_at=None,
            error_kind="",
            error="",
        )
        happened(certificate_id, "revoked", "The authority knows that it counts no more.")  # fmt: skip

    def _keep_unrevoked(self, certificate_id: int, error: AttemptError) -> None:
        certificate = store.get(certificate_id)
        again = self._again_at(certificate, error)
        store.keep_failure(
            certificate, error.kind, error.detail, next_attempt_at=again, forgets_order=True
        )  # fmt: skip
        store.change(certificate_id, status=Status.REVOKING.value)
        happened(certificate_id, "failed", f"It could not be revoked: {error.detail}")

    async def look_at_window(self, certificate: Certificate) -> None:
        """Ask when the authority wants ``certificate`` renewed, and keep that."""
        chain = (await self._database.run(store.chain_of, certificate.id)) or ""
        client = AcmeClient(certificate.directory_url, new_key(), ca_file=self._ca_file)
        values: dict[str, datetime] = {"window_check_at": now() + WINDOW_EVERY}
        try:
            window = await asyncio.to_thread(client.window, chain)
        except AttemptError as error:
            log.info("certificates.window_unknown", certificate_id=certificate.id, error=error.detail)  # fmt: skip
            window = None
        if window is not None and certificate.not_after is not None:
            values["renew_at"] = renewal_in(
                window.start, window.end, certificate.not_after, certificate.serial
            )
        await self._database.run(store.change, certificate.id, **values)


def _checked(chain: str, key: bytes, names: tuple[str, ...], at: datetime) -> Issued:
    try:
        issued = described(chain, key)
        if is_misfit(issued.not_before, issued.not_after, at):
            raise AttemptError(
                ErrorKind.WRONG,
                f"The certificate counts from {issued.not_before:%Y-%m-%d %H:%M} to {issued.not_after:%Y-%m-%d %H:%M} UTC, and"
                f" this box's clock says {at:%Y-%m-%d %H:%M}. Set the clock.",
            )
        # An authority's clock may be a little ahead of ours.
        moment = max(at, issued.not_before + timedelta(seconds=1))
        return read(chain, key, now=moment, hosts=names)
    except CertificateInvalidError as error:
        raise AttemptError(
            ErrorKind.WRONG, f"What the authority issued does not fit: {error.detail}"
        ) from error
