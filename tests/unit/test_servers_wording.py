"""What people read about a server: what happened, its last output, and nobody's calls."""

from datetime import UTC, datetime, timedelta

from appliance.runtimes.model import Instance, InstanceState, LogLine, Transport
from appliance.servers import wording

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def printed(stream: str, text: str) -> LogLine:
    return LogLine(NOON, stream, text)


def exited(code: int, *, out_of_memory: bool = False) -> Instance:
    return Instance("mcp-a-1", "c", 1, 1, InstanceState.EXITED, "", code, out_of_memory)


ANSWER = printed("stdout", '{"jsonrpc":"2.0","id":1,"result":{"secret":"of a client"}}')
TRACE = printed("stderr", "KeyError: 'TOKEN'")


def test_a_clients_answers_are_never_quoted() -> None:
    lines = [ANSWER, TRACE, printed("stdout", 'rest of a long answer"}')]

    quoted = wording.readable(lines, Transport.STDIO)

    assert quoted == [TRACE]


def test_what_a_server_prints_instead_of_speaking_is_quoted() -> None:
    usage = printed("stdout", "Usage: server DIRECTORY")

    assert wording.readable([usage, TRACE], Transport.STDIO) == [usage, TRACE]


def test_an_http_server_prints_only_logs() -> None:
    assert wording.readable([ANSWER], Transport.STREAMABLE_HTTP) == [ANSWER]


def test_an_end_tells_code_and_last_output() -> None:
    assert wording.ended(exited(1), [TRACE]) == (
        "It ended with exit code 1. Last output: KeyError: 'TOKEN'"
    )


def test_an_end_by_the_kernel_names_the_limit() -> None:
    assert "raise memory_limit" in wording.ended(exited(137, out_of_memory=True), [])


def test_an_end_without_output_says_so() -> None:
    assert wording.ended(exited(0), []).endswith("It printed nothing.")


def test_only_the_last_lines_are_quoted() -> None:
    lines = [printed("stderr", f"line {number}") for number in range(20)]

    assert wording.last_output(lines) == " | ".join(
        f"line {number}" for number in range(15, 20)
    )


def test_a_crash_says_when_it_starts_again_or_that_it_does_not() -> None:
    again = wording.crashed("It ended.", 2, timedelta(seconds=2), gave_up=False)
    never = wording.crashed("It ended.", 5, timedelta(seconds=16), gave_up=True)

    assert "starts again in 2 s" in again
    assert "start it again" in never
