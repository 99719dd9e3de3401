"""Whether what DNS says shows whose a name is, and which records would. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.domains.model import Domain, Proof, Record, TxtBecause, challenge_name

#: Of everything that DNS may say, so much is told.
_TOLD: Final = 4

_WHY_TXT: Final = {
    TxtBecause.WILDCARD: "A wildcard needs the TXT record: an address shows nothing of all names below.",
    TxtBecause.RELEASED: "Somebody else had this name here before, so its address shows nothing; the TXT record does.",
    TxtBecause.COVERED: "The name falls under a wildcard of somebody here, so its address shows nothing; the TXT record does.",
}


@dataclass(frozen=True)
class Answers:
    """What DNS said of a name."""

    #: A and AAAA, whatever names led there; of a wildcard, those of some name below.
    addresses: tuple[str, ...] = ()
    #: The names that lead to the addresses, in order; empty: none does.
    aliases: tuple[str, ...] = ()
    #: Of the TXT record that shows whose it is.
    texts: tuple[str, ...] = ()
    #: Why something could not be asked; empty: all was answered.
    problem: str = ""


@dataclass(frozen=True)
class Finding:
    """What the answers mean."""

    proof: Proof | None
    #: Whether visitors come here.
    points_here: bool
    #: What is missing, with the next step; empty: nothing.
    reason: str = ""
    #: What was seen.
    found: str = ""
    #: Whether DNS could not be asked, so that nothing follows.
    is_unknown: bool = False


def judge(domain: Domain, answers: Answers, expected: Collection[str]) -> Finding:
    """Return what DNS shows about a domain.

    Args:
        domain: Which.
        answers: What DNS said.
        expected: The addresses where names have to point.
    """
    seen = _seen(domain, answers)
    has_text = domain.challenge in answers.texts
    elsewhere = [item for item in answers.addresses if item not in expected]
    points_here = bool(answers.addresses) and not elsewhere
    if has_text:
        reason = "" if points_here else _not_here(domain, answers, expected, elsewhere)  # fmt: skip
        return Finding(Proof.TXT, points_here, reason, seen)
    if answers.problem:
        problem = f"DNS could not be asked: {answers.problem}. It is tried again."
        return Finding(None, points_here, problem, seen, is_unknown=True)
    if domain.txt_because is not TxtBecause.NONE:
        why = _WHY_TXT[domain.txt_because]
        return Finding(None, points_here, f"{why} {_missing_text(domain, answers)}", seen)  # fmt: skip
    if points_here:
        return Finding(Proof.ADDRESS, points_here=True, found=seen)
    return Finding(None, points_here, _not_here(domain, answers, expected, elsewhere), seen)  # fmt: skip


def records(domain: Domain, expected: Collection[str]) -> list[Record]:
    """Return the records to set for a domain, the one that is needed first."""
    text = Record(
        "TXT",
        domain.challenge_name,
        domain.challenge,
        "Shows that the name is yours.",
    )
    pointing = [
        Record(
            "AAAA" if ":" in address else "A",
            domain.host,
            address,
            "Leads visitors here.",
        )
        for address in _in_order(expected)
    ]
    needs_text = domain.txt_because is not TxtBecause.NONE
    return [text, *pointing] if needs_text else [*pointing, text]


def _not_here(
    domain: Domain,
    answers: Answers,
    expected: Collection[str],
    elsewhere: Sequence[str],
) -> str:
    wanted = _listed(_in_order(expected)) or "this box"
    if not answers.addresses:
        through = f" (by way of {answers.aliases[-1]})" if answers.aliases else ""
        return f"{domain.host} has no address in DNS yet{through}; point it to {wanted}."  # fmt: skip
    if not expected:
        return "This box does not know its own addresses; an administrator sets PUBLIC_ADDRESSES."
    if len(elsewhere) < len(answers.addresses):
        away = _listed(elsewhere)
        return f"Some visitors of {domain.host} are led to {away}; remove that record, or point it to {wanted}."
    return f"{domain.host} points to {_listed(elsewhere)}; point it to {wanted}."


def _missing_text(domain: Domain, answers: Answers) -> str:
    name = challenge_name(domain.host)
    if not answers.texts:
        return f"There is no TXT record {name} yet."
    return f"The TXT record {name} holds something else."


def _seen(domain: Domain, answers: Answers) -> str:
    parts = []
    if answers.aliases:
        parts.append(f"CNAME {' → '.join(answers.aliases[:_TOLD])}")
    if answers.addresses:
        parts.append(f"addresses {_listed(answers.addresses)}")
    if answers.texts:
        shown = _listed([item[:80] for item in answers.texts])
        parts.append(f"TXT {domain.challenge_name} {shown}")
    return "; ".join(parts)


def _in_order(addresses: Collection[str]) -> list[str]:
    """Return addresses as people list them: those of IPv4 first."""
    return sorted(addresses, key=lambda item: (":" in item, item))


def _listed(items: Sequence[str]) -> str:
    more = len(items) - _TOLD
    shown = ", ".join(items[:_TOLD])
    return f"{shown} and {more} more" if more > 0 else shown
