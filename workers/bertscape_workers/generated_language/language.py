"""A small artificial language whose words belong to hidden classes.

Every content word has two hidden features, a mood and a topic, of two values each; the content
words of a sentence agree in both, except a few. Between them stand particles, which carry
neither. Nothing in a word's letters tells its class: it shows only in the company that the word
keeps. Text without labels therefore teaches the classes, and whoever has read it can judge a
sentence of words that no labelled sentence held; nobody else can.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOODS = 2
TOPICS = 2

Words = NDArray[np.str_]  # (MOODS, TOPICS, words of each class)

_ONSETS = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"]
_VOWELS = ["a", "e", "i", "o", "u"]


@dataclass(frozen=True, slots=True)
class Grammar:
    """The measures of a language."""

    words_per_class: int = 32  # half of them taught, half held back
    particles: int = 16
    shortest: int = 4  # content words of a sentence, at least
    longest: int = 6  # and at most
    agreement: float = 0.9  # share of the content words drawn from the class, not from all


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence with its hidden features."""

    text: str
    mood: int  # in [0, MOODS)
    topic: int  # in [0, TOPICS)


class GeneratedLanguage:
    """A vocabulary drawn from `seed`, and the sentences that its grammar allows.

    Attributes:
        particles: words without class.
        taught: the content words of labelled training sentences.
        held_back: those of labelled evaluation sentences; no word is in both.
        all_words: what unlabelled text draws from: both.
    """

    def __init__(self, seed: int, grammar: Grammar) -> None:
        classes = MOODS * TOPICS
        random = np.random.default_rng([seed, 0])
        words = _distinct_words(random, grammar.particles + classes * grammar.words_per_class)
        self.grammar = grammar
        self.particles = words[: grammar.particles]
        self.all_words: Words = np.array(words[grammar.particles :]).reshape(MOODS, TOPICS, -1)
        self.taught, self.held_back = np.array_split(self.all_words, 2, axis=2)

    def sentences(self, count: int, words: Words, random: np.random.Generator) -> list[Sentence]:
        """Draw `count` sentences of `words`, their features uniform and independent."""
        return [self._sentence(words, random) for _ in range(count)]

    def _sentence(self, words: Words, random: np.random.Generator) -> Sentence:
        mood, topic = int(random.integers(MOODS)), int(random.integers(TOPICS))
        tokens: list[str] = []
        for _ in range(random.integers(self.grammar.shortest, self.grammar.longest + 1)):
            if random.random() < 0.5:
                tokens.append(self.particles[random.integers(len(self.particles))])
            agrees = random.random() < self.grammar.agreement
            pool = words[mood, topic] if agrees else words.reshape(-1)
            tokens.append(str(pool[random.integers(pool.size)]))
        return Sentence(" ".join(tokens), mood, topic)


def _distinct_words(random: np.random.Generator, count: int) -> list[str]:
    """Pronounceable words of two or three syllables, in the order in which they were drawn."""
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(_syllable(random) for _ in range(random.integers(2, 4)))] = None
    return list(words)


def _syllable(random: np.random.Generator) -> str:
    return _ONSETS[random.integers(len(_ONSETS))] + _VOWELS[random.integers(len(_VOWELS))]
