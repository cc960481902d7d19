"""An example that a model cannot take, as a refusal with the model's own words."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bertscape.values import InvalidInput, ProblemType, brief

# What transformers' models raise about a length or a token that they cannot take. A device that
# fails and memory that runs out say nothing of the example.
_OF_THE_EXAMPLE = (RuntimeError, ValueError, LookupError, TypeError, AssertionError)
_OF_THE_DEVICE = (torch.OutOfMemoryError, torch.AcceleratorError)
_NO_MEMORY = "can't allocate memory"  # on a CPU it is a plain RuntimeError


@contextmanager
def untaken(key: str, source: str, model_type: str, example: str) -> Iterator[None]:
    """Name model and example if the model's `forward` raises.

    Args:
        key: of the model in the job spec.
        source: of its checkpoint.
        model_type: as in its config.
        example: what the model cannot take, after "cannot take".

    Raises:
        InvalidInput: the model raised; the message has its words.
    """
    try:
        yield
    except _OF_THE_DEVICE:
        raise
    except _OF_THE_EXAMPLE as error:
        if _NO_MEMORY in str(error):
            raise
        reason = brief(error)
        raise InvalidInput.of(
            ProblemType.INVALID_CHECKPOINT,
            key,
            source,
            "a model that can classify each example of data.train and data.eval in this precision",
            f"is a {model_type} model that cannot take {example} ({reason})",
        ) from error
