"""What a dispatcher makes of its workers' answers; nothing of Ray is started."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bertscape.values import Problem, ProblemType
from bertscape_service.ray_cluster import TileRefused, WorkProgress, dispatching
from bertscape_service.ray_cluster.dispatching import Dispatcher
from bertscape_service.scheduling import TileAdvanced, TileFailed
from bertscape_workers.jobs import Failure, Underway

pytestmark = pytest.mark.anyio


def dispatcher(sent: list[object]) -> Dispatcher:
    cluster: Any = None
    return Dispatcher(cluster, object, sent.append)


def test_what_is_wrong_with_a_tiles_input_is_told_as_it_was_found() -> None:
    problem = Problem(ProblemType.INPUT_CHANGED, "start has changed", key="model.pretrained")
    sent: list[object] = []
    worker: Any = SimpleNamespace(worker_id="w-1")
    for failure in (Failure("broke", ""), Failure("InvalidInput: …", "", problem)):
        dispatcher(sent).report_tile(failure, worker, "a", 4, 1)
    assert sent == [TileFailed("a", 4, "w-1", "broke"), TileRefused("a", 4, "w-1", problem)]


async def test_each_look_at_a_training_tells_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatching, "PROGRESS_S", 0.0)
    first, kept = Underway("fine-tuning", 1, 9), Underway("fine-tuning", 3, 9, kept=1)
    looks = iter([None, first, first, kept, kept, Underway("fine-tuning", 7, 9, kept=3)])
    sent: list[object] = []

    async def look() -> Underway | None:
        for now in looks:
            return now
        raise asyncio.CancelledError

    actor = SimpleNamespace(progress=SimpleNamespace(remote=look))
    advanced = TileAdvanced("a", 0, "w-1")
    with pytest.raises(asyncio.CancelledError):
        await dispatcher(sent).follow(actor, "a", advanced)
    assert sent == [
        WorkProgress("a", "fine-tuning", 1, 9),
        advanced,
        WorkProgress("a", "fine-tuning", 3, 9),
        advanced,
        WorkProgress("a", "fine-tuning", 7, 9),
    ]
