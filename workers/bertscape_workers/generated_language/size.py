"""How large the demo is: one place for every number that sets its cost."""

from dataclasses import dataclass

from bertscape_workers.generated_language.language import Grammar


@dataclass(frozen=True, slots=True)
class Size:
    """The measures of the language, its data, the model and its training."""

    grammar: Grammar
    corpus_sentences: int  # unlabelled
    train_sentences: int  # labelled, of each task
    eval_sentences: int  # labelled, of each task
    layers: int = 2
    hidden: int = 64
    heads: int = 2
    intermediate: int = 128
    pretraining_epochs: int = 4
    pretraining_batch: int = 64
    pretraining_rate: float = 2e-3
    masked: float = 0.3  # share of the tokens to be guessed: sentences are short
    fine_tuning_epochs: int = 6
    fine_tuning_batch: int = 16
    fine_tuning_rate: float = 1e-3  # the same for all four runs


DEMO = Size(Grammar(), corpus_sentences=20_000, train_sentences=384, eval_sentences=512)

# The same in less than half a minute, for tests.
SMALL = Size(
    Grammar(words_per_class=16, particles=8),
    corpus_sentences=6_000,
    train_sentences=256,
    eval_sentences=512,
    pretraining_epochs=5,
)
