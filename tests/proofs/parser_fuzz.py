"""The gateway's reader of HTTP never disagrees with aiohttp's, in C or in Python, about what a stream of bytes says.

All read the same bytes, ours in pieces of any size. A request that ours takes, theirs takes too, and all of it is the same:
where it ends, method, target, headers, body. What ours refuses and theirs does not is refused for a reason that is listed here.
"""

from collections import Counter
from typing import Final

from hypothesis import HealthCheck, example, given, seed, settings

from tests.harness.http_parsers import Reading, c_parser, ours, py_parser
from tests.harness.http_streams import CORPUS, CUTS, STREAMS, cut
from tests.proofs.claim import ClaimBrokenError, hold

EXAMPLES = 10_000
#: Where ours is stricter, and why that keeps nobody out who speaks MCP.
STRICTNESS: Final = {
    "That is no request for a path by HTTP/1.1.": "targets are paths, versions 1.0 and 1.1; bare line breaks,"
    " empty lines before a request and control characters are read differently by different readers",
    "There is no method": "what is not GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS has no meaning here",
    "A header line cannot be read.": "no folded lines, no space before the colon, no empty names, no tabs around a value",
    "appears more than once.": "of two values of a field that decides something, each reader may believe another",
    "Host is missing.": "the standard asks for it",
    "There is no switching of protocols here.": "after a switch the bytes would no longer be HTTP",
    "The body's length is said in two ways.": "smuggling",
    "No transfer coding but chunked is known here.": "nothing compresses what it sends here",
    "Content-Length is not a number.": "more than fifteen digits, signs and spaces within",
    "That Expect cannot be met.": "the standard's own answer, 417",
    "A chunk's size cannot be read.": "no chunk extensions, no white space, at most eight digits",
    "A chunk is longer than it said.": "smuggling",
    "Trailers are not taken.": "nothing that speaks MCP sends any, and readers differ on what they may change",
    "The head is too long.": "64 KiB",
    "More than 128 header fields.": "the same limit as aiohttp's own default",
    "too large": "bodies have a limit",
    "closed": "the request before said that it is the last one",
}


#: Where ours takes more.
LENIENCY: Final = (
    "A request that offers to switch to HTTP/2 (Java's client does) is answered as if it did not, as the standard allows;"
    " aiohttp's parser in C reads nothing after it."
)


def disagreement(mine: Reading, theirs: Reading) -> str:
    """Return in what the two differ; empty: in nothing that is not listed."""
    for place, message in enumerate(mine.messages):
        if any("upgrade" in dict(item.headers) for item in mine.messages[:place]):
            return ""  # see LENIENCY
        if place >= len(theirs.messages):
            return f"ours takes request {place}, theirs does not ({theirs.refusal})"
        if message != theirs.messages[place]:
            return f"request {place} differs: {message} and {theirs.messages[place]}"
    if len(theirs.messages) == len(mine.messages):
        return ""
    if not mine.refusal:
        return f"theirs takes request {len(mine.messages)}, ours waits for more"
    if any(listed in mine.refusal for listed in STRICTNESS):
        return ""
    return (
        f"ours refuses what theirs takes, and the reason is not listed: {mine.refusal}"
    )


def agree(pieces: list[bytes]) -> Counter[str]:
    """Compare the readers on one stream.

    Raises:
        AssertionError: They disagree.
    """
    mine = ours(pieces)
    for name, reader in (("C", c_parser), ("Python", py_parser)):
        difference = disagreement(mine, reader(b"".join(pieces)))
        assert not difference, f"{name}: {difference}\n{pieces}"
    seen = Counter(taken=len(mine.messages))
    seen["refused" if mine.refusal else "not refused"] += 1
    return seen


def fuzz(examples: int) -> Counter[str]:
    """Compare the readers on the corpus, whole and byte by byte, and on what Hypothesis makes."""
    seen: Counter[str] = Counter()
    for stream in CORPUS:
        seen += agree([stream])
        seen += agree(cut(stream, list(range(0, len(stream), 1 + len(stream) // 600))))

    @seed(2026)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @example(CORPUS[0], [])
    @given(STREAMS, CUTS)
    def compare(stream: bytes, places: list[int]) -> None:
        seen.update(agree(cut(stream, places)))

    compare()
    return seen


def prove() -> None:
    """Fuzz, and count."""
    for reason, why in STRICTNESS.items():
        print(f"stricter: {reason} {why}")
    print(f"more lenient: {LENIENCY}")
    try:
        seen = fuzz(EXAMPLES)
    except AssertionError as error:
        raise ClaimBrokenError(str(error)) from error
    streams = seen["refused"] + seen["not refused"]
    hold(
        seen["taken"] > streams // 4,  # else nothing was compared but refusals
        f"{streams} streams, {seen['taken']} requests taken alike by all three, {seen['refused']} streams refused,"
        " no disagreement",
    )
