"""Answers of one turn of the loop, written together."""

import asyncio

from appliance.gateway.http.outbox import HELD_FROM_PER_S, Outbox


class Client:
    """Takes what is written to it; its own transport, too."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.transport = self
        self.is_gone = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.is_gone


def busy() -> Outbox:
    outbox = Outbox()
    outbox.turn(1.0)
    for _ in range(HELD_FROM_PER_S):
        outbox.put(Client(), b"")  # type: ignore[arg-type]
    outbox.turn(2.0)
    return outbox


async def test_few_answers_are_written_at_once() -> None:
    outbox, client = Outbox(), Client()
    outbox.turn(1.0)

    outbox.put(client, b"answer")  # type: ignore[arg-type]

    assert client.written == [b"answer"]


async def test_many_are_held_until_the_next_turn_and_written_in_their_order() -> None:
    outbox, client = busy(), Client()

    outbox.put(client, b"first")  # type: ignore[arg-type]
    outbox.put(client, b"second")  # type: ignore[arg-type]
    assert client.written == []
    await asyncio.sleep(0)

    assert client.written == [b"first", b"second"]


async def test_who_writes_something_else_flushes_first_and_nothing_is_written_twice() -> (
    None
):
    outbox, client = busy(), Client()

    outbox.put(client, b"answer")  # type: ignore[arg-type]
    outbox.flush()
    client.write(b"stream")
    await asyncio.sleep(0)

    assert client.written == [b"answer", b"stream"]


async def test_a_client_that_left_keeps_nobody_from_an_answer() -> None:
    outbox, gone, stays = busy(), Client(), Client()

    outbox.put(gone, b"answer")  # type: ignore[arg-type]
    outbox.put(stays, b"answer")  # type: ignore[arg-type]
    gone.is_gone = True
    await asyncio.sleep(0)

    assert gone.written == []
    assert stays.written == [b"answer"]


async def test_what_waits_is_written_before_what_comes_when_it_is_quiet_again() -> None:
    outbox, client = busy(), Client()

    outbox.put(client, b"first")  # type: ignore[arg-type]
    outbox.turn(3.0)
    outbox.put(client, b"second")  # type: ignore[arg-type]
    await asyncio.sleep(0)

    assert client.written == [b"first", b"second"]
