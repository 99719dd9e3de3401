"""Sentences that speak to a model behind its user's back. Pure.

Each pattern reads text that was made plain: lower case, single spaces, no invisible characters. Repetitions are bounded, so
that no text makes a pattern slow.
"""

import re
from dataclasses import dataclass

from appliance.servers.pinning.findings import Severity


@dataclass(frozen=True)
class Phrase:
    """One pattern, and what it means when it is there."""

    rule: str
    severity: Severity
    pattern: re.Pattern[str]
    message: str


def _phrase(rule: str, severity: Severity, message: str, pattern: str) -> Phrase:
    return Phrase(rule, severity, re.compile(pattern), message)


_HIGH, _MEDIUM = Severity.HIGH, Severity.MEDIUM
_EARLIER = r"(?:previous|prior|above|earlier|preceding|existing|system|other)"
_ORDERS = r"(?:instructions?|prompts?|rules?|messages?|guidelines?|directives?|context)"
_PEOPLE = r"(?:the |your |any |a )?(?:users?|humans?|people|person|anyone|anybody|operator|owner)\b"
_OTHERS = r"(?:any|every|all|another|other)\s(?:of the\s|the\s)?(?:other\s)?tools?\b"
_FILES = (
    r"(?:\.ssh\b|id_rsa\b|id_ed25519\b|\.aws/|\.netrc\b|\.pgpass\b|\.kube/config\b|/etc/(?:passwd|shadow)\b|"
    r"mcp\.json\b|claude_desktop_config|\.docker/config\.json|wallet\.dat\b|\.bash_history\b|\.git-credentials\b)"
)

PHRASES = (
    _phrase(
        "instruction-override", _HIGH, "Tells the model to drop what it was told.",
        rf"\b(?:ignore|disregard|forget|override|bypass)\s(?:\w{{1,12}}\s){{0,3}}?{_EARLIER}\s(?:\w{{1,12}}\s)?{_ORDERS}\b",
    ),
    _phrase(
        "secrecy", _HIGH, "Tells the model to keep something from its user.",
        r"\b(?:do not|don't|dont|never|must not|should not|without|avoid)\s(?:ever\s)?"
        r"(?:tell|telling|inform|informing|mention|mentioning|notify|notifying|alert|alerting|reveal|revealing|disclose|disclosing)"
        rf"\s(?:\w{{1,12}}\s){{0,5}}?{_PEOPLE}",
    ),
    _phrase(
        "secrecy", _HIGH, "Tells the model to keep something from its user.",
        r"\b(?:do not|don't|dont|never)\s(?:mention|disclose|reveal)\s(?:this|these|that|the above|it)\b",
    ),
    _phrase(
        "hidden-block", _HIGH, "Marks a part as addressed to the model, as poisoned descriptions do.",
        r"<\s?/?\s?(?:important|system|instructions?|secret|hidden|assistant|admin|critical|sys|thinking)(?:\s[^<>]{0,80})?\s?/?>",
    ),
    _phrase(
        "hidden-block", _HIGH, "Marks a part as coming from the system.",
        r"\[/?inst\]|<\|im_(?:start|end)\|>|<\|(?:system|user|assistant)\|>",
    ),
    _phrase(
        "secret-files", _HIGH, "Asks for files in which secrets are kept.",
        rf"\b(?:read|open|cat|load|include|send|pass|get|fetch|access|copy|upload|attach|provide)\b[^.!?]{{0,80}}?{_FILES}",
    ),
    _phrase("secret-files", _MEDIUM, "Names files in which secrets are kept.", _FILES),
    _phrase(
        "conversation", _HIGH, "Asks for the conversation or for what the model was told.",
        r"\b(?:include|pass|send|provide|put|append|forward|attach|copy|paste)\b[^.!?]{0,60}?\b(?:system prompt|"
        r"(?:entire|full|whole|complete|all)\s(?:of\s)?(?:the\s|this\s|our\s|your\s)?"
        r"(?:previous\s|prior\s)?(?:conversation|chat|messages|context|history)|"
        r"(?:conversation|chat)\shistory|previous messages|prior messages)\b",
    ),
    _phrase(
        "other-tools", _MEDIUM, "Says what to do before, after or instead of using other tools.",
        r"\b(?:before|after|instead of|whenever|when|every time)\s(?:you\s)?"
        rf"(?:use|using|call|calling|invoke|invoking|run|running)\s{_OTHERS}",
    ),
    _phrase(
        "other-tools", _HIGH, "Speaks of what other tools return or are given.",
        rf"\b(?:results?|outputs?|answers?|arguments?|data|credentials|tokens?|keys?)\s(?:of|from|for|to)\s{_OTHERS}",
    ),
    _phrase(
        "exfiltration", _MEDIUM, "Asks to send something to an address.",
        r"\b(?:send|post|upload|forward|exfiltrate|transmit|bcc|email|e-mail)\b[^.!?]{0,80}?\bto\b[^.!?]{0,40}?(?:https?://|[\w.+-]{1,40}@[\w-]{1,40}\.)",
    ),
)  # fmt: skip
