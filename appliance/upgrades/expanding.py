"""What a migration takes away from the release before, which still runs while the next one begins. Pure.

A schema first expands, and contracts in a later release, when nobody uses any more what goes. So a migration that takes
something away says from which release on it was not used: ``-- contracts: not used since 1.4.0``.
"""

import re

_DECLARED = re.compile(r"^-- contracts: not used since \S+", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_TEXT = re.compile(r"'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.DOTALL)
_TAKES_AWAY = (
    (r"\bDROP\s+TABLE\b", "drops a table"),
    (r"\bDROP\s+COLUMN\b", "drops a column"),
    (r"\bRENAME\b", "renames"),
    (r"\bSET\s+NOT\s+NULL\b", "forbids NULL where the release before may write it"),
    (r"\bALTER\s+COLUMN\s+\w+\s+(?:SET\s+DATA\s+)?TYPE\b", "changes a type"),
)
_ADDED = re.compile(
    r"\bADD\s+(?:COLUMN\s+)?(?!CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|VALUE)\w+[^,;]*",
    re.IGNORECASE,
)
_VIEW = re.compile(r"\bDROP\s+VIEW\s+(?:IF\s+EXISTS\s+)?(\w+)", re.IGNORECASE)
_MADE_VIEW = r"\bCREATE\s+(?:OR\s+REPLACE\s+)?VIEW\s+{}\b"


def contractions(sql: str) -> list[str]:
    """Return what a migration takes away and does not declare; none: the release before goes on with it."""
    if _DECLARED.search(sql):
        return []
    bare = _TEXT.sub("''", _COMMENT.sub(" ", sql))
    found = [
        words
        for pattern, words in _TAKES_AWAY
        if re.search(pattern, bare, re.IGNORECASE)
    ]
    for match in _ADDED.finditer(bare):
        text = match[0].upper()
        if "NOT NULL" in text and "DEFAULT" not in text and "GENERATED" not in text:
            found.append("adds a column that the release before does not fill")
    found.extend(
        f"drops the view {match[1]}"
        for match in _VIEW.finditer(bare)
        if not re.search(_MADE_VIEW.format(match[1]), bare, re.IGNORECASE)
    )
    return found
