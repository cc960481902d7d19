"""The demo's text: a corpus without labels, and two tasks as tab-separated files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bertscape.spec import Data, Split
from bertscape_workers.generated_language.language import GeneratedLanguage, Words
from bertscape_workers.generated_language.size import DEMO, Size

MAX_LENGTH = 16  # in tokens; every word is one, and no sentence is longer


@dataclass(frozen=True, slots=True)
class DemoData:
    """The files of one demo.

    The evaluation sentences of either task hold no content word that a training sentence of
    either task holds.
    """

    corpus: Path  # one unlabelled sentence a line
    target: Data  # "mood": fine-tuning on it gives θ1
    other: Data  # "topic": fine-tuning on it gives θ2


def write_demo_data(folder: Path, seed: int, size: Size = DEMO) -> DemoData:
    """Write the corpus, and a training and an evaluation file for each task.

    Args:
        folder: created if it does not exist.
        seed: of the language and of every sentence.
        size: how much of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    language = GeneratedLanguage(seed, size.grammar)
    random = np.random.default_rng([seed, 1])
    corpus = language.sentences(size.corpus_sentences, language.all_words, random)
    _write_lines(folder / "corpus.txt", [sentence.text for sentence in corpus])
    return DemoData(
        corpus=folder / "corpus.txt",
        target=_write_task(folder, "mood", language, random, size),
        other=_write_task(folder, "topic", language, random, size),
    )


def _write_task(
    folder: Path, task: str, language: GeneratedLanguage, random: np.random.Generator, size: Size
) -> Data:
    """Write one task; `task` is the feature of a sentence that is its label."""

    def write(split: str, count: int, words: Words) -> Split:
        path = (folder / f"{task}-{split}.tsv").absolute()
        rows = [f"{s.text}\t{getattr(s, task)}" for s in language.sentences(count, words, random)]
        _write_lines(path, ["sentence\tlabel", *rows])
        return Split(path=str(path))

    return Data(
        train=write("train", size.train_sentences, language.taught),
        eval=write("eval", size.eval_sentences, language.held_back),
        text=("sentence",),
        label="label",
        max_length=MAX_LENGTH,
    )


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
