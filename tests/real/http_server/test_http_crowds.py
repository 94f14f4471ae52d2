"""How many connections one address may have, over real sockets."""

import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from prunner_trio.http.addresses import address_key
from prunner_trio.http.server import HttpLimits, _connection, _serve
from prunner_trio.http.server._shared import Shared

pytestmark = pytest.mark.real
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HANG = b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def loopback_counts(monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
    """Loopback is not limited, and there is no other address to be sure of; so here its addresses count."""
    if kit.plain_hypercorn:
        pytest.skip("Hypercorn has no such limit")
    monkeypatch.setattr(_connection, "address_key", socket.inet_aton)


class Crowd:
    """Opens connections from addresses of this machine, which stay open as long as it does."""

    def __init__(self, kit: Any, site: Any, stack: AsyncExitStack) -> None:
        self.kit, self.site, self.stack = kit, site, stack

    async def come(self, address: str = "127.0.0.1") -> Any:
        stream = await trio.open_tcp_stream("127.0.0.1", self.site.port, local_address=address)
        return self.kit.client(await self.stack.enter_async_context(stream))

    async def ask_once(self) -> Any:
        async with self.site.client() as client:
            return await client.ask(GET)

    async def come_busy(self, address: str = "127.0.0.1") -> Any:
        client = await self.come(address)
        await client.send(HANG)
        return client


def play(kit: Any, scenario: Any, **limits: Any) -> None:
    async def main() -> None:
        async with (
            kit.open_site(kit.make_app(), HttpLimits(connections_per_address=2, drain=0.2, **limits)) as site,
            AsyncExitStack() as stack,
        ):
            await scenario(Crowd(kit, site, stack))

    kit.run(main)


def test_an_address_that_has_enough_connections_is_told_so_and_others_are_served(
    kit: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(crowd: Crowd) -> None:
        busy = [await crowd.come_busy() for _ in range(2)]
        for _ in range(3):
            late = await crowd.come()
            answer = await late.answer()
            assert (answer.status, answer.headers["connection"]) == (429, "close")
            assert int(answer.headers["retry-after"]) > 0
            assert b"your address" in answer.body
            assert await late.rest() == b""
        other = await crowd.come("127.0.0.2")
        assert (await other.ask(GET)).body == b"hello"
        await busy[0].stream.aclose()
        with trio.fail_after(10):
            while (answer := await crowd.ask_once()).status == 429:
                await trio.sleep(0.05)
        assert answer.body == b"hello"

    play(kit, scenario)
    told = [record.getMessage() for record in caplog.records if "too many connections" in record.getMessage()]
    assert len(told) == 1


def test_the_longest_idle_connection_of_the_address_itself_makes_room(kit: Any) -> None:
    async def scenario(crowd: Crowd) -> None:
        other = await crowd.come("127.0.0.2")
        assert (await other.ask(GET)).body == b"hello"
        old = [await crowd.come() for _ in range(2)]
        for client in old:
            assert (await client.ask(GET)).body == b"hello"
        assert (await (await crowd.come()).ask(GET)).body == b"hello"
        assert await old[0].rest() == b""
        for client in (old[1], other):
            assert (await client.ask(GET)).body == b"hello"

    play(kit, scenario)


def test_no_more_than_a_few_are_told_why_they_are_turned_away(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else those who are would take the places of all others."""
    monkeypatch.setattr(_connection, "MOST_TURNED_AWAY", 3)
    monkeypatch.setattr(_connection, "LINGER_S", 1000.0)

    async def scenario(crowd: Crowd) -> None:
        for _ in range(2):
            await crowd.come_busy()
        for _ in range(3):
            assert (await (await crowd.come()).answer()).status == 429
        for _ in range(20):
            late = await crowd.come()
            assert await late.rest() == b""
        assert (await (await crowd.come("127.0.0.2")).ask(GET)).body == b"hello"

    play(kit, scenario, connections=8)


def test_no_address_is_remembered_longer_than_its_connections(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(*args: Any) -> Shared:
        made.append(Shared(*args))
        return made[-1]

    monkeypatch.setattr(_serve, "Shared", make)

    async def scenario(crowd: Crowd) -> None:
        for number in range(1, 6):
            client = await crowd.come(f"127.0.0.{number}")
            assert (await client.ask(GET)).body == b"hello"
        assert len(made[0]._addresses) == 5
        await crowd.stack.aclose()
        with trio.fail_after(10):
            while made[0]._addresses:
                await trio.sleep(0.01)

    play(kit, scenario)


@pytest.mark.parametrize("most", [0, 2])
def test_loopback_is_not_limited_and_no_limit_is_none(kit: Any, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    if most:
        monkeypatch.setattr(_connection, "address_key", address_key)

    async def main() -> None:
        limits = HttpLimits(connections_per_address=most, drain=0.2)
        async with kit.open_site(kit.make_app(), limits) as site, AsyncExitStack() as stack:
            crowd = Crowd(kit, site, stack)
            for _ in range(10):
                await crowd.come_busy()
            assert (await (await crowd.come()).ask(GET)).body == b"hello"

    kit.run(main)
