"""docs/job-spec.md says of each odd checkpoint folder what becomes of it."""

from pathlib import Path

import pytest

from bertscape_workers.admission import safetensors_headers

PAGE = (Path(__file__).parents[2] / "docs" / "job-spec.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())


@pytest.mark.parametrize(
    "words",
    [
        f"`{safetensors_headers.ADAPTER_FILE}`",
        "`merge_and_unload()`",
        "`model.fp16.safetensors`",
        f"`{safetensors_headers.INDEX_FILE}`",
        "an encoder that was saved without a prefix",
        "a key given twice in `config.json`",
        "more layers in the weights than in `config.json`",
        "`ClassLabel`",
    ],
)
def test_it_is_said(words: str) -> None:
    assert words in TEXT


def test_every_wrapper_is_named() -> None:
    assert all(f"`{wrapper}`" in TEXT for wrapper in safetensors_headers.WRAPPERS)
