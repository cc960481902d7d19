"""Checkpoints as vectors and as models: loading, devices, number formats.

Touches checkpoint folders, the hub's cache, torch and transformers. Knows `admission`.
"""

from bertscape_workers.checkpoints.backbone import (
    BackboneTensor,
    Config,
    Layout,
    StoredBackbone,
    Vector,
    attach,
    build_model,
    known_tensors,
    layout_of,
    load_config,
    read_backbone,
    read_head,
    skeleton,
    whole_config,
)
from bertscape_workers.checkpoints.checkpoints import (
    CheckpointFiles,
    locate,
    locate_tokenizer,
    steps,
    tensor_names,
)
from bertscape_workers.checkpoints.devices import (
    device_model,
    pick_device,
    set_threads,
)
from bertscape_workers.checkpoints.precision import (
    Format,
    arithmetic,
    resolve,
)
from bertscape_workers.checkpoints.transformers_trainer import (
    Examples,
    quiet_arguments,
    quiet_transformers,
    silence,
    torch_threads,
)
from bertscape_workers.checkpoints.vectors import (
    distance,
    dot,
    norm,
    scale,
)

__all__ = [
    "BackboneTensor",
    "CheckpointFiles",
    "Config",
    "Examples",
    "Format",
    "Layout",
    "StoredBackbone",
    "Vector",
    "arithmetic",
    "attach",
    "build_model",
    "device_model",
    "distance",
    "dot",
    "known_tensors",
    "layout_of",
    "load_config",
    "locate",
    "locate_tokenizer",
    "norm",
    "pick_device",
    "quiet_arguments",
    "quiet_transformers",
    "read_backbone",
    "read_head",
    "resolve",
    "scale",
    "set_threads",
    "silence",
    "skeleton",
    "steps",
    "tensor_names",
    "torch_threads",
    "whole_config",
]
