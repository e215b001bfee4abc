"""How fast tokens may be guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from console.app import build_app
from console.config import ClickHouseAccess, ConsoleConfig
from console.throttle import Throttle

TOKEN = "a-token-of-more-than-16-characters"
_TRIES, _REFILL = 10, 60.0


class Time:
    """A clock that goes on only where it is told to, and who waited for it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Wait no time, but let others go first."""
        self.slept.append(seconds)
        await asyncio.sleep(0)

    def throttle(self) -> Throttle:
        """By this clock."""
        return Throttle(_TRIES, _REFILL, 0.5, clock=lambda: self.now, sleep=self.sleep)


@asynccontextmanager
async def visitor(throttle: Throttle, **options: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody at the login page of a console whose ClickHouse is away: it is not asked."""
    config = ConsoleConfig(clickhouse=ClickHouseAccess("127.0.0.1", 1, "journey", "u"), why=str, token=TOKEN)
    app = build_app(config, throttle=throttle)
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 4_711))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8484", headers=options) as client:
        yield client
    await app.state.warehouse.close()


async def test_a_bucket_empties_and_fills_again() -> None:
    """Ten at once, then one each six seconds, and after a minute ten again, however long it rested."""
    time = Time()
    throttle = time.throttle()
    for _ in range(_TRIES):
        assert throttle.seconds_to_wait() == 0
        await throttle.count_wrong_try()
    assert throttle.seconds_to_wait() == 6
    time.now += 5.9
    assert throttle.seconds_to_wait() == 1
    time.now += 0.1
    assert throttle.seconds_to_wait() == 0
    await throttle.count_wrong_try()
    assert throttle.seconds_to_wait() == 6
    time.now += 100_000
    for _ in range(_TRIES):
        assert throttle.seconds_to_wait() == 0
        await throttle.count_wrong_try()
    assert throttle.seconds_to_wait() == 6
    assert time.slept == [0.5] * (2 * _TRIES + 1)


async def test_guesses_wait_whoever_they_are_from() -> None:
    """After ten wrong tokens the eleventh is not judged, nor is the right one, whatever a header says of who asks; later it is."""
    time = Time()
    async with visitor(time.throttle()) as client:
        for number in range(_TRIES):
            answer = await client.post("/login", data={"token": "x"}, headers={"X-Forwarded-For": f"10.0.0.{number}"})
            assert answer.status_code == 401
        for token in ("x", TOKEN):
            answer = await client.post("/login", data={"token": token}, headers={"X-Forwarded-For": "10.0.1.1"})
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "6")
            assert "Try again in 6 s" in answer.text
            assert "set-cookie" not in answer.headers
        time.now += 6
        assert (await client.post("/login", data={"token": TOKEN})).status_code == 303
        assert len(time.slept) == _TRIES, "only wrong tokens take time"


async def test_right_tokens_take_nothing_out() -> None:
    """A team that logs in on Monday morning keeps nobody out."""
    time = Time()
    async with visitor(time.throttle()) as client:
        for _ in range(3 * _TRIES):
            assert (await client.post("/login", data={"token": TOKEN})).status_code == 303
    assert time.slept == []


async def test_who_is_logged_in_is_not_kept_out() -> None:
    """A cookie counts while others guess."""
    time = Time()
    async with visitor(time.throttle()) as client:
        await client.post("/login", data={"token": TOKEN})
        for _ in range(_TRIES + 1):
            last = await client.post("/login", data={"token": "x"})
        assert last.status_code == 429
        assert (await client.get("/prospects/x")).status_code == 404, "past the login"


async def test_guesses_side_by_side_get_no_more() -> None:
    """They are counted before their answers are held back."""
    time = Time()
    async with visitor(time.throttle()) as client:
        answers = await asyncio.gather(*(client.post("/login", data={"token": "x"}) for _ in range(5 * _TRIES)))
    assert sorted(answer.status_code for answer in answers) == [401] * _TRIES + [429] * 4 * _TRIES
