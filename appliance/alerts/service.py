"""Raises and ends alerts, and what people do with them."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from appliance.alerts import store
from appliance.alerts.delivery import SEALED_FOR, Ways, deliver, tell_later
from appliance.alerts.errors import AlertEndedError, TooManyChannelsError
from appliance.alerts.model import (
    Alert,
    Channel,
    ChannelKind,
    Condition,
    News,
    Severity,
    Source,
)
from appliance.alerts.rules import Deed, changes
from appliance.core.clock import now
from appliance.core.errors import InvalidError
from appliance.infra.database import Database
from appliance.notifying.signing import url_problem
from appliance.observability.audit import Actor, record

log = structlog.get_logger("alerts")

EVERY_S = 15.0
#: One source may take so long.
PATIENCE_S = 90.0
MAX_CHANNELS = 20
SECRET_PREFIX = "mcpa_"  # noqa: S105 - what secret scanners recognise
LONGEST_SILENCE = timedelta(days=365)


@dataclass(frozen=True)
class NewChannel:
    """A channel that somebody wants."""

    kind: ChannelKind
    address: str
    name: str = ""
    min_severity: Severity = Severity.WARNING


class AlertService:
    """Everything about alerts.

    Args:
        ways: By which they go out.
        sources: Who says what is wrong, by the word before the colon in their keys.
    """

    def __init__(
        self, database: Database, ways: Ways, sources: Mapping[str, Source]
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._ways = ways
        self._sources = dict(sources)
        self._open: Mapping[str, int] = {}

    # -- looking

    async def look(self) -> None:
        """Ask every source once, write down what began and ended, and have it told."""
        # One after another: nobody waits for it, and it takes one connection of Postgres instead of many.
        answers = {name: await self._ask(name) for name in self._sources}
        seen = [item for found in answers.values() for item in found or ()]
        blind = {name for name, found in answers.items() if found is None}
        self._open = await self._database.run(_settle, seen, blind)

    def open_now(self) -> Mapping[str, int]:
        """Return how many alerts are open, by severity, as of the last look here."""
        return {severity.value: self._open.get(severity, 0) for severity in Severity}

    async def _ask(self, name: str) -> Sequence[Condition] | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._sources[name]()
        except Exception:
            # One that cannot look must not hide what the others see.
            log.exception("alerts.source_broke", source=name)
            return None

    async def prune(self) -> int:
        """Forget what ended long ago; return how many."""
        return await self._database.run(store.prune)

    # -- what people see and do

    async def page(
        self, *, ended: bool | None = None, before: int | None = None, limit: int = 50
    ) -> list[Alert]:
        """Return alerts, the newest first."""
        return await self._database.run(
            store.page, ended=ended, before=before, limit=limit
        )

    async def acknowledge(self, actor: Actor, alert_id: int) -> Alert:
        """Write down that somebody knows; nobody is reminded of it then.

        Raises:
            AlertNotFoundError: There is none.
            AlertEndedError: It is over.
        """

        def write() -> Alert:
            alert = _still_open(alert_id)
            store.acknowledge(alert_id, actor.name)
            _record(actor, "alert.acknowledge", alert)
            return store.get(alert_id)

        return await self._database.run(write)

    async def silence(
        self, actor: Actor, alert_id: int, *, hours: float, reason: str = ""
    ) -> Alert:
        """Tell nobody of alerts of this kind for some hours; 0: tell of them again.

        Raises:
            AlertNotFoundError: There is none.
        """

        def write() -> Alert:
            alert = store.get(alert_id)
            if hours <= 0:
                store.end_silence(alert.key)
                _record(actor, "alert.unsilence", alert)
            else:
                span = min(timedelta(hours=hours), LONGEST_SILENCE)
                until = store.moment() + span
                store.silence(alert.key, until, reason, actor.name)
                _record(actor, "alert.silence", alert, until=until.isoformat(), why=reason)  # fmt: skip
            return store.get(alert_id)

        return await self._database.run(write)

    # -- channels

    async def channels(self) -> list[Channel]:
        """Return where alerts are sent."""
        return await self._database.run(store.channels)

    async def add_channel(self, actor: Actor, new: NewChannel) -> tuple[Channel, str]:
        """Add a channel; return it with what its calls are signed with, shown this once.

        Raises:
            InvalidError: The address is none.
            TooManyChannelsError: There are as many as can be.
        """
        checked = _checked(new)
        is_signed = new.kind is ChannelKind.WEBHOOK
        secret = f"{SECRET_PREFIX}{secrets.token_urlsafe(32)}" if is_signed else ""
        sealed = self._ways.sealer.seal(secret.encode(), SEALED_FOR)

        def write() -> Channel:
            if len(store.channels()) >= MAX_CHANNELS:
                raise TooManyChannelsError(
                    f"There are {MAX_CHANNELS} channels already.",
                    hint="Remove one first.",
                )
            channel = store.add_channel(
                checked.kind,
                name=checked.name,
                address=checked.address,
                min_severity=checked.min_severity,
                sealed=sealed,
                by=actor.name,
            )
            _record_channel(actor, "alert.channel_add", channel)
            return channel

        return await self._database.run(write), secret

    async def remove_channel(self, actor: Actor, channel_id: int) -> None:
        """Send nothing there any more.

        Raises:
            ChannelNotFoundError: There is none.
        """

        def write() -> None:
            channel, _ = store.channel(channel_id)
            store.remove_channel(channel_id)
            _record_channel(actor, "alert.channel_remove", channel)

        await self._database.run(write)

    async def test(self, actor: Actor, channel_id: int) -> Channel:
        """Send a test there now, and return the channel.

        Raises:
            ChannelNotFoundError: There is none.
            NotSentError: It did not arrive.
            SendRefusedError: It cannot be sent there.
        """

        def begin() -> tuple[Channel, bytes]:
            found = store.channel(channel_id)
            _record_channel(actor, "alert.channel_test", found[0])
            return found

        channel, sealed = await self._database.run(begin)
        alert = Alert(0, "test:channel", Severity.WARNING, _TEST, "", now(), now())
        id_ = f"alert-test-{secrets.token_hex(8)}"
        await deliver(
            self._database, self._ways, channel, sealed, alert, News.TEST, id_
        )
        return (await self._database.run(store.channel, channel_id))[0]


_TEST = "Nothing is wrong. Somebody wants to know whether alerts arrive here."


def _settle(seen: Sequence[Condition], blind: set[str]) -> Mapping[str, int]:
    for change in changes(store.open_alerts(), seen, blind, store.moment()):
        alert_id = store.apply(change)
        if change.deed in {Deed.OPEN, Deed.END} or change.news:
            log.info("alerts.changed", alert=alert_id, deed=change.deed.value)
        if change.news is None:
            continue
        severity = change.condition.severity if change.condition else None
        severity = severity or store.get(alert_id).severity
        for channel in store.for_severity(severity):
            tell_later(alert_id, channel.id, change.news)
    return Counter(item.severity for item in store.open_alerts() if item.told_at)


def _still_open(alert_id: int) -> Alert:
    alert = store.get(alert_id)
    if alert.ended_at is not None:
        raise AlertEndedError("The alert is over; there is nothing to know any more.")
    return alert


def _checked(new: NewChannel) -> NewChannel:
    address = new.address.strip()
    if new.kind is ChannelKind.WEBHOOK:
        if problem := url_problem(address):
            raise InvalidError.field("address", problem)
    else:
        name, _, domain = address.rpartition("@")
        if not name or not domain or any(sign.isspace() for sign in address):
            raise InvalidError.field("address", "give an e-mail address such as ops@example.org")  # fmt: skip
    return replace(new, address=address, name=new.name.strip() or address)


def _record(actor: Actor, action: str, alert: Alert, **details: str) -> None:
    record(
        actor,
        action,
        object_type="alert",
        object_id=alert.id,
        object_name=alert.key,
        details=details,
    )


def _record_channel(actor: Actor, action: str, channel: Channel) -> None:
    record(
        actor,
        action,
        object_type="alert_channel",
        object_id=channel.id,
        object_name=channel.name,
        details={"kind": channel.kind.value, "address": channel.address},
    )
