"""A key that a file gives twice: the last one would win in silence."""

from pathlib import Path

import pytest

from bertscape import InvalidInput, load_spec
from bertscape.spec import load_study, refuse_repeated_keys

SPEC = """\
kind: curve
model: {pretrained: a, finetuned: b}
grid: {x: [-1, 1, 3]}
data:
  train: {path: train.tsv}
  eval: {path: dev.tsv}
  text: sentence
"""


def refusal(path: Path) -> str:
    with pytest.raises(InvalidInput) as caught:
        load_spec(path)
    return caught.value.problem.detail


@pytest.mark.parametrize(
    ("text", "key", "first", "second"),
    [
        (SPEC + "grid: {x: [-4, 4, 40]}\n", "grid", "line 3, column 1", "line 8, column 1"),
        (SPEC + "  text: other\n", "text", "line 7, column 3", "line 8, column 3"),
        (SPEC.replace("grid: {", "grid: {x: 1, "), "x", "line 3, column 8", "line 3, column 14"),
    ],
)
def test_yaml_names_both_places(
    tmp_path: Path, text: str, key: str, first: str, second: str
) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text)
    message = f"{key}: '{path}' has this key on {first} and again on {second}; expected it once"
    assert refusal(path) == message


def test_json_names_both_places(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    text = '{"kind": "curve",\n "note \\" {": [{"x": 1}, {"x": 2}],\n "k\\u0069nd": "surface"}'
    path.write_text(text)
    message = f"kind: '{path}' has this key on line 1, column 2 and again on line 3, column 2"
    assert refusal(path) == f"{message}; expected it once"


def test_a_study_is_read_in_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("kind: study\nseeds: [0]\nseeds: [1]\n")
    with pytest.raises(InvalidInput, match=r"seeds: .* on line 2, column 1 and again on line 3"):
        load_study(path)


def test_a_merged_mapping_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    head = SPEC.replace("train: {", "train: &all {").replace("eval: {", "eval: {<<: *all, ")
    path.write_text(head)
    assert load_spec(path).data.eval.path == str(tmp_path / "dev.tsv")


def test_only_one_object_holds_a_key_twice() -> None:
    refuse_repeated_keys('{"a": {"b": 1}, "c": [{"b": 2}, {"b": "{", "d": "b"}]}', "body")
    with pytest.raises(
        InvalidInput, match=r"^b: 'body' has this key on line 1, column 8 and again"
    ):
        refuse_repeated_keys('{"a": {"b": 1, "b": 2}}', "body")


def test_nesting_without_end_is_no_spec(tmp_path: Path) -> None:
    for name, text in (("job.json", "[" * 100_000), ("job.yaml", "[" * 100_000)):
        (tmp_path / name).write_text(text)
        assert "expected YAML or JSON" in refusal(tmp_path / name)


def test_a_key_that_cannot_be_shown_is_escaped() -> None:
    with pytest.raises(InvalidInput) as caught:
        refuse_repeated_keys('{"\\ud800": 1, "\\ud800": 2}', "body")
    assert caught.value.problem.key == "\\ud800"
    caught.value.problem.detail.encode()
