"""A dispatcher is kept alive, with back-off, and what a lost one still says is not heard."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bertscape_service.ray_cluster import Supervision, supervision
from bertscape_service.ray_cluster.supervision import delay_before_start

pytestmark = pytest.mark.anyio


class PlainLink:
    def __init__(self, on_message: Callable[[object], None], on_lost: Callable[[str], None]):
        self.say, self.lose = on_message, on_lost
        self.events: list[object] = []

    def start(self) -> None:
        self.events.append("start")

    def send(self, message: object) -> None:
        self.events.append(message)

    def stop(self) -> None:
        self.events.append("stop")


class Kept:
    """A supervision with what it said and made."""

    def __init__(self, link: type[PlainLink] = PlainLink) -> None:
        self.links: list[PlainLink] = []
        self.heard: list[object] = []
        self.lost: list[str] = []

        def make(on_message: Any, on_lost: Any) -> PlainLink:
            self.links.append(link(on_message, on_lost))
            return self.links[-1]

        self.supervision = Supervision(make, self.heard.append, self.lost.append)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not true():
                await asyncio.sleep(0.005)

    async def started(self, number: int) -> PlainLink:
        await self.until(lambda: len(self.links) >= number and bool(self.links[-1].events))
        return self.links[-1]


def test_the_back_off_doubles_up_to_half_a_minute() -> None:
    assert [delay_before_start(losses) for losses in range(9)] == [0, 0, 1, 2, 4, 8, 16, 30, 30]
    assert delay_before_start(10_000) == 30


async def test_another_one_is_started_after_a_loss() -> None:
    kept = Kept()
    kept.supervision.start()
    first = await kept.started(1)
    first.say("hello")
    first.lose("it died")
    second = await kept.started(2)
    assert kept.heard == ["hello"]
    assert kept.lost == ["it died"]
    assert first.events == ["start", "stop"]
    kept.supervision.send("work")
    assert second.events == ["start", "work"]
    await kept.supervision.stop()
    assert second.events[-1] == "stop"
    assert not kept.supervision.alive


async def test_one_that_is_given_up_on_is_stopped_and_not_heard_again() -> None:
    kept = Kept()
    kept.supervision.start()
    first = await kept.started(1)
    kept.supervision.give_up_on_it("it lies")
    first.say("another lie")
    second = await kept.started(2)
    second.say("the truth")
    await kept.until(lambda: bool(kept.heard))
    assert kept.heard == ["the truth"]
    assert kept.lost == ["it lies"]
    await kept.supervision.stop()


async def test_one_that_does_not_start_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses: list[int] = []
    monkeypatch.setattr(supervision, "delay_before_start", lambda n: losses.append(n) or 0.0)

    class Broken(PlainLink):
        def start(self) -> None:
            super().start()
            raise OSError("no such program")

    kept = Kept(Broken)
    kept.supervision.start()
    await kept.until(lambda: len(kept.lost) >= 3)
    await kept.supervision.stop()
    assert kept.lost[0] == "it does not start: no such program"
    assert {1, 2, 3} <= set(losses)


async def test_a_sign_of_life_ends_the_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[int] = []
    monkeypatch.setattr(supervision, "delay_before_start", lambda n: losses.append(n) or 0.0)
    kept = Kept()
    kept.supervision.start()
    for number in (1, 2, 3):
        link = await kept.started(number)
        if number == 2:
            kept.supervision.gave_sign_of_life()
        link.lose("it died")
    await kept.started(4)
    await kept.supervision.stop()
    # Before each start, and in the line that the log gets after each loss.
    assert losses == [0, 1, 1, 1, 1, 2, 2]
