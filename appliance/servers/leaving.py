"""How the instances of an older version leave: when calls that began there are over, or their time is. Pure."""

from datetime import datetime, timedelta

from appliance.runtimes.model import InstanceState
from appliance.servers.facts import Facts
from appliance.servers.model import InstanceRecord

#: How long after a switch it is first looked whether the old instance was left, and the longest pause between two looks.
FIRST_LOOK = timedelta(seconds=0.5)
LAST_LOOK = timedelta(seconds=5)


def gone(facts: Facts) -> tuple[str, ...]:
    """Return the instances that nobody waits for: of no deployment that counts, or left by everybody, or for too long."""
    counting = {item.id for item in (facts.pending, facts.live) if item}
    staying = {record.name for record in facts.records if _is_leaving(facts, record)}
    known = {record.name for record in facts.records if record.leaving_since}
    running = {
        item.name for item in facts.instances if item.state is InstanceState.RUNNING
    }
    there = {
        item.name for item in facts.instances if item.deployment_id not in counting
    }
    # Of a remote server there is nothing but what the gateway was told; one that ended has nothing to wait for.
    ended = {name for name in staying - running if _is_ours(facts, name)}
    return tuple(sorted((there | known) - (staying - ended)))


def _is_leaving(facts: Facts, record: InstanceRecord) -> bool:
    return (
        record.leave_by is not None
        and record.leave_by > facts.now
        and record.id not in facts.quiet
    )


def _is_ours(facts: Facts, name: str) -> bool:
    return any(item.name == name and item.container_id for item in facts.records)


def look_again(facts: Facts) -> datetime | None:
    """Return when to look at those who are leaving: soon at first, and the longer it takes the less often."""
    moments = [
        min(
            record.leave_by,
            facts.now + _clamp((facts.now - record.leaving_since) / 4),
        )
        for record in facts.records
        if record.leave_by and record.leaving_since
    ]
    return min(moments, default=None)


def _clamp(pause: timedelta) -> timedelta:
    return min(max(pause, FIRST_LOOK), LAST_LOOK)
