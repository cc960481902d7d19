"""How much memory a job needs, from its sizes alone; stdlib only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bertscape.values import InvalidInput, ProblemType

KEPT_STATES = 1 << 30  # bytes of hidden states that an evaluator may keep for all points

# Bytes of a worker beside its arrays. About 500 MiB were seen with torch, transformers and a
# tokenizer in use, before any vector; the rest is what measured peaks had beyond all that is
# counted below (benchmarks/memory.py), probably freed work space that malloc keeps.
PROCESS = 700 << 20

# Bytes of a token in the packed evaluator: three int32 columns, and while they are made its
# position once more.
PACKED_TOKEN = 16

_FLOAT = 4  # bytes
_BATCH = 32  # examples, as in the reference evaluator and the self-checks
BLOCK, GPU_BLOCK = 3072, 32768  # tokens of a block, as in the packed evaluator
SCORES = 1 << 20  # attention scores at a time, as in the packed evaluator


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What a job takes, in bytes."""

    object_store: int  # origin, directions and splits, once per node
    worker: int  # the most that one process has of its own: the one that prepares


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """What there is, in bytes."""

    worker: int  # of its GPU, if it has one
    object_store: int
    gpu: bool = False

    def check(self, need: MemoryNeed) -> None:
        """Raise `InvalidInput` (does-not-fit), with the sizes, if the job needs more."""
        for what, needed, there in (
            ("object store of a node", need.object_store, self.object_store),
            ("memory of a worker", need.worker, self.worker),
        ):
            if needed > there:
                raise InvalidInput.of(
                    ProblemType.DOES_NOT_FIT,
                    "model",
                    _gibibytes(needed),
                    f"at most {_gibibytes(there)}, the {what}",
                    f"needed in the {what}",
                )


def memory_for(
    parameters: int,
    directions: int,
    config: Mapping[str, Any],
    max_length: int,
    splits: int = 0,
    tokens: int = 0,
    states: int = 0,
    gpu: bool = False,
) -> MemoryNeed:
    """What a job needs; in fp32, and so at most.

    Args:
        parameters: of the backbone.
        directions: 1 of a curve, 2 of a surface.
        config: of the model.
        max_length: tokens of the longest example.
        splits: bytes of both tokenized splits, if they are known.
        tokens: of both splits, if they are known.
        states: hidden states that are the same at every point, if they are known; they are
            kept if they fit in `KEPT_STATES`.
        gpu: whether a worker evaluates on a GPU, in larger blocks.
    """
    vector = _FLOAT * parameters
    arrays = vector * (1 + directions) + splits
    # Preparing holds the arrays, a working copy, and one checkpoint beside them, which the
    # self-checks load whole; before it has that copy, a principal component's trajectory in parts
    # of no more than one vector. An evaluating worker holds no checkpoint. The rows of a split are
    # let go of before any of these is there, and take less.
    block = GPU_BLOCK if gpu else BLOCK
    own = arrays + 2 * vector + _activations(config, max_length, block) + PROCESS
    own += PACKED_TOKEN * tokens
    kept = _FLOAT * states * _width(config)
    own += kept if kept <= KEPT_STATES else 0
    return MemoryNeed(object_store=arrays, worker=own)


def memory_for_training(parameters: int, splits: int = 0) -> MemoryNeed:
    """What a fine-tuning needs at the least: activations, which batches make, are not counted.

    Args:
        parameters: of the model.
        splits: bytes of both tokenized splits, if they are known.
    """
    # Weights, gradients and AdamW's two moments.
    own = 4 * _FLOAT * parameters + splits + PROCESS
    return MemoryNeed(object_store=splits, worker=own)


def _activations(config: Mapping[str, Any], max_length: int, tokens: int) -> int:
    """Bytes of the largest tensors that one layer keeps alive, by whichever path takes more."""
    hidden = _width(config)
    wide = _number(config, ("intermediate_size", "hidden_dim"), 4 * hidden)
    heads = _number(config, ("num_attention_heads", "n_heads"), 12)
    square = heads * max_length * max_length  # scores of one example
    # A padded batch: the states before and after, queries, keys, values and what they mix; the
    # feed-forward state before and after its activation; scores before and after softmax.
    batch = _BATCH * (max_length * (6 * hidden + 2 * wide) + 2 * square)
    # A block: the same of its tokens, and of some examples at a time queries, keys, values and
    # answer once more, apart by head, with their scores. An example too long is its own block.
    block = max(tokens, max_length) * (10 * hidden + 2 * wide) + 2 * max(SCORES, square)
    return _FLOAT * max(batch, block)


def _width(config: Mapping[str, Any]) -> int:
    return _number(config, ("hidden_size", "dim"), 768)


def _number(config: Mapping[str, Any], names: tuple[str, ...], default: int) -> int:
    found = (config[name] for name in names if isinstance(config.get(name), int))
    return int(next(found, default))


def _gibibytes(count: int) -> str:
    return f"{count / (1 << 30):.3g} GiB"
