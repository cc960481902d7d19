"""A study of two tasks, as plain values."""

from collections.abc import Callable
from typing import Any

import pytest

MakeStudy = Callable[..., dict[str, Any]]


def task(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "data": {
            "train": {"path": f"{name}/train.tsv"},
            "eval": {"path": f"{name}/dev.tsv"},
            "text": ["sentence1", "sentence2"],
        },
        **changes,
    }


@pytest.fixture
def study() -> MakeStudy:
    """The shortest study of two tasks; a task's settings by its name, a study's by their keys."""

    def make(mrpc: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        tasks = {"mrpc": task("mrpc", **(mrpc or {})), "rte": task("rte")}
        return {"kind": "study", "pretrained": "bert", "tasks": tasks, **changes}

    return make
