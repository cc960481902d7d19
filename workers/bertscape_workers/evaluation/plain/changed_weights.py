"""Weights that transformers changes while it loads them."""

import numpy as np
from transformers import PreTrainedModel

from bertscape.values import InvalidInput, ProblemType
from bertscape_workers.checkpoints import CheckpointFiles, StoredBackbone, layout_of


def refuse_changed(model: PreTrainedModel, files: CheckpointFiles) -> None:
    """Raise `InvalidInput` if a loaded backbone has other values than its checkpoint's files.

    The plane is built from the files. Funnel's embedding of padding, for example, is set to zero
    whatever its file holds; such a checkpoint would move along a direction that no model has.

    Args:
        model: the checkpoint, loaded by `from_pretrained`, in float32.
        files: of the checkpoint.
    """
    stored = StoredBackbone.find(files, layout_of(model))
    loaded = dict(model.named_parameters(remove_duplicate=False))
    for index, tensor in enumerate(stored.layout.tensors):
        name = tensor.names[0]
        here = loaded[name].detach().cpu().numpy()
        changed = int(np.count_nonzero(here != stored.rows(index, slice(None))))
        if changed:
            raise InvalidInput.of(
                ProblemType.INVALID_CHECKPOINT,
                files.key,
                files.source,
                "weights as transformers has them after loading; from_pretrained and "
                "save_pretrained make such a checkpoint of this one",
                f"is a {model.config.model_type} model: transformers changes {changed} of "
                f"{tensor.size} values of {name} while loading them",
            )
