from .backbone import (
    BackboneTensor as BackboneTensor,
    Config as Config,
    Layout as Layout,
    StoredBackbone as StoredBackbone,
    Vector as Vector,
    attach as attach,
    build_model as build_model,
    known_tensors as known_tensors,
    layout_of as layout_of,
    load_config as load_config,
    read_backbone as read_backbone,
    read_head as read_head,
    refuse_converted as refuse_converted,
    skeleton as skeleton,
    whole_config as whole_config,
)
from .checkpoints import (
    CheckpointFiles as CheckpointFiles,
    locate as locate,
    locate_tokenizer as locate_tokenizer,
    renamed as renamed,
    steps as steps,
    tensor_names as tensor_names,
    weight_warnings as weight_warnings,
)
from .devices import (
    device_model as device_model,
    pick_device as pick_device,
    set_threads as set_threads,
)
from .precision import Format as Format, arithmetic as arithmetic, resolve as resolve
from .quietness import quiet_transformers as quiet_transformers
from .transformers_trainer import (
    Examples as Examples,
    quiet_arguments as quiet_arguments,
    silence as silence,
    torch_threads as torch_threads,
)
from .vectors import distance as distance, dot as dot, norm as norm, scale as scale
