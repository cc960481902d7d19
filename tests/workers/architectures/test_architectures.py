"""Model types through a whole job: every number right."""

from pathlib import Path

import pytest
from tests.workers.architectures.sweep import Finding, sweep
from tests.workers.architectures.tiny_models import MODEL_TYPES, OVERRIDES

# One of each sort: packed, plain, a decoder, an encoder with a decoder.
_SOME = ("bert", "albert", "gpt2", "t5")


def test_the_table_holds_no_family_that_transformers_lacks() -> None:
    assert set(OVERRIDES) <= set(MODEL_TYPES)


@pytest.mark.parametrize("model_type", _SOME)
def test_every_number_is_right(model_type: str, tmp_path: Path) -> None:
    found = sweep(model_type, tmp_path)
    assert found.outcome == ("packed" if model_type == "bert" else "reference"), found
    assert found.right, found
    assert found.checks == (3, 3)


@pytest.mark.parametrize("model_type", ["gpt2", "flaubert"])
def test_token_types_are_kept_without_a_count_of_them_in_the_config(
    model_type: str, tmp_path: Path
) -> None:
    found = sweep(model_type, tmp_path, like_bert=True)
    assert found.right, found


@pytest.mark.parametrize(
    "model_type", ["fnet", "convbert", "xlnet", "mobilebert", "yoso", "big_bird"]
)
def test_no_example_sees_padding_or_what_another_left_behind(
    model_type: str, tmp_path: Path
) -> None:
    found = sweep(model_type, tmp_path)
    assert found.right, found
    assert found.checks == (3, 3)


def test_a_model_without_a_padding_token_takes_one_example_at_a_time(tmp_path: Path) -> None:
    found = sweep("gpt2", tmp_path, pad_token_id=None)
    assert found.right, found


def test_a_model_that_cannot_take_every_example_is_refused_by_name(tmp_path: Path) -> None:
    found = sweep("nystromformer", tmp_path)
    assert found.outcome == "refused"
    assert "nystromformer model that cannot take an example of" in found.message


def test_a_model_that_its_first_example_changes_is_refused_by_name(tmp_path: Path) -> None:
    found = sweep("reformer", tmp_path)
    assert found.outcome == "refused"
    assert "is a reformer model: an example of data.train" in found.message


def test_a_finding_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = Finding("bert", 2, "packed", loss=1e-8, lengths=0.0, checks=(3, 3), rates=16)
    found.save(tmp_path / "bert.json")
    again = Finding.load(tmp_path / "bert.json")
    assert (again.model_type, again.checks, again.loss) == ("bert", (3, 3), 1e-8)
    assert again.right
