"""The generated language, and that pre-training on it pays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from bertscape.spec import Data
from bertscape_workers.data import read_rows
from bertscape_workers.generated_language import (
    DEMO,
    SMALL,
    DemoData,
    FourRuns,
    GeneratedLanguage,
    Grammar,
    fine_tune_four,
    pretrain,
    train_tokenizer,
    write_demo_data,
)

TINY = replace(SMALL, corpus_sentences=200, pretraining_epochs=1)
Stages = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DemoData:
    return write_demo_data(tmp_path_factory.mktemp("data"), seed=0, size=SMALL)


@pytest.fixture(scope="module")
def four(data: DemoData, tmp_path_factory: pytest.TempPathFactory) -> tuple[FourRuns, Stages]:
    folder, stages = tmp_path_factory.mktemp("four"), Stages()

    def progress(stage: str, done: int, total: int) -> None:
        stages.append((stage, done, total))

    model = pretrain(folder / "model", data, 0, progress, size=SMALL)
    return fine_tune_four(folder, model, data, 0, progress, size=SMALL), stages


def content_words(data: Data, split: str, language: GeneratedLanguage) -> set[str]:
    return {w for row in read_rows(data, split) for w in row.texts[0].split()} - set(
        language.particles
    )


def test_words_are_distinct_and_either_taught_or_held_back() -> None:
    language = GeneratedLanguage(3, Grammar())
    words = [*language.particles, *language.all_words.reshape(-1)]
    assert len(set(words)) == len(words) == 16 + 4 * 32
    taught, held_back = set(language.taught.reshape(-1)), set(language.held_back.reshape(-1))
    assert len(taught) == len(held_back) == 2 * 32
    assert not taught & held_back


def test_words_of_a_sentence_agree_in_its_features() -> None:
    language = GeneratedLanguage(3, Grammar(agreement=0.9))
    class_of = {
        word: index for index in np.ndindex(2, 2) for word in language.all_words[index].tolist()
    }
    sentences = language.sentences(2000, language.all_words, np.random.default_rng(0))
    agrees = [
        class_of[word] == (sentence.mood, sentence.topic)
        for sentence in sentences
        for word in sentence.text.split()
        if word in class_of
    ]
    assert np.mean(agrees) == pytest.approx(0.9 + 0.1 / 4, abs=0.01)
    features = np.array([(sentence.mood, sentence.topic) for sentence in sentences])
    assert features.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.05)
    assert abs(np.corrcoef(features.T)[0, 1]) < 0.1  # one task does not give away the other


def test_evaluation_holds_no_word_seen_with_labels(data: DemoData) -> None:
    language = GeneratedLanguage(0, SMALL.grammar)
    tasks = (data.target, data.other)
    trained = set().union(*(content_words(task, "train", language) for task in tasks))
    evaluated = set().union(*(content_words(task, "eval", language) for task in tasks))
    assert len(trained) == len(evaluated) == 2 * SMALL.grammar.words_per_class
    assert not trained & evaluated
    assert set(data.corpus.read_text().split()) >= trained | evaluated
    for task in tasks:
        assert len(read_rows(task, "eval")) == SMALL.eval_sentences >= 500


def test_data_is_a_function_of_the_seed(data: DemoData, tmp_path: Path) -> None:
    again = write_demo_data(tmp_path / "again", seed=0, size=SMALL)
    other = write_demo_data(tmp_path / "other", seed=1, size=SMALL)
    names = sorted(path.name for path in again.corpus.parent.iterdir())
    assert len(names) == 5
    for name in names:
        text = (data.corpus.parent / name).read_bytes()
        assert text == (again.corpus.parent / name).read_bytes()
        assert text != (other.corpus.parent / name).read_bytes()


def test_every_word_is_one_token_and_every_sentence_fits(tmp_path: Path) -> None:
    corpus = write_demo_data(tmp_path, seed=2, size=DEMO).corpus.read_text().splitlines()
    train_tokenizer(corpus).save_pretrained(tmp_path / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    encoded = tokenizer(corpus)["input_ids"]
    assert [len(ids) for ids in encoded] == [len(line.split()) + 2 for line in corpus]
    assert max(map(len, encoded)) <= tokenizer.model_max_length
    assert tokenizer.unk_token_id not in {token for ids in encoded for token in ids}


def test_pretraining_is_a_function_of_the_seed(tmp_path: Path) -> None:
    data = write_demo_data(tmp_path, seed=0, size=TINY)
    models = [
        pretrain(tmp_path / str(index), data, seed, size=TINY) / "model.safetensors"
        for index, seed in enumerate((4, 4, 5))
    ]
    assert models[0].read_bytes() == models[1].read_bytes() != models[2].read_bytes()


def test_pretraining_pays(four: tuple[FourRuns, Stages]) -> None:
    runs, _ = four
    gap = runs.pretrained.target.eval_accuracy - runs.scratch.target.eval_accuracy
    assert gap >= 0.10
    assert runs.pretrained.other.eval_accuracy > runs.scratch.other.eval_accuracy


def test_four_runs_differ_in_start_and_task_alone(four: tuple[FourRuns, Stages]) -> None:
    runs, stages = four
    folders = [
        [checkpoint.name for checkpoint in run.checkpoints]
        for start in (runs.pretrained, runs.scratch)
        for run in (start.target, start.other)
    ]
    assert all(names == folders[0] for names in folders)
    assert len(folders[0]) == 1 + SMALL.fine_tuning_epochs
    assert len({stage for stage, _, _ in stages}) == 5  # the bar begins anew for each
    assert all(0 <= done <= total for _, done, total in stages)


@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_both_tasks_of_a_start_share_its_backbone(
    four: tuple[FourRuns, Stages], start: str
) -> None:
    runs = getattr(four[0], start)
    target, other = (
        load_file(run.initial / "model.safetensors") for run in (runs.target, runs.other)
    )
    backbone = [name for name in target if name.startswith("bert.")]
    assert "bert.pooler.dense.weight" in backbone
    assert all(torch.equal(target[name], other[name]) for name in backbone)
