"""How a proof ends when it does not simply hold."""


class ClaimBrokenError(Exception):
    """The claim does not hold on this box; the text gives the figures."""


class MissingError(Exception):
    """Something that the measurement needs is not here; the text says what and how to get it."""


def hold(condition: bool, figures: str) -> None:  # noqa: FBT001 - reads as a sentence: hold(a < b, "...")
    """Print ``figures``; they are the claim's verdict.

    Raises:
        ClaimBrokenError: ``condition`` is false.
    """
    if not condition:
        raise ClaimBrokenError(figures)
    print(figures)
