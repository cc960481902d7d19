"""What can be told of a job without its rows and without torch: files, headers, shapes, memory.

The API's process calls it at each submission, so nothing here imports torch, transformers,
datasets or Ray. It reads configs, headers and the first lines of tables.
"""

from bertscape_workers.admission.admission import Admitted, ModelFound, admit, admitted, memory_need
from bertscape_workers.admission.freed_memory import ENVIRONMENT, keep_freed_memory
from bertscape_workers.admission.held_file import HeldElsewhere, sign, take
from bertscape_workers.admission.layer_groups import Members, members
from bertscape_workers.admission.memory import (
    KEPT_STATES,
    MemoryLimits,
    MemoryNeed,
    memory_for,
    memory_for_training,
)
from bertscape_workers.admission.numeric_settings import forget_numeric_settings
from bertscape_workers.admission.safetensors_headers import (
    COMPLETE_CHECKPOINT_HINT,
    CONFIG_FILE,
    FLOATING,
    TensorHeader,
    has_tokenizer,
    lacking,
    read_json,
    refuse_no_folder,
    refuse_repeated_settings,
    tensor_headers,
    unread_files,
    weight_files,
    wrapper_prefix,
)
from bertscape_workers.admission.tables import (
    no_examples,
    parquet_class_names,
    parquet_columns,
    refuse_local_dataset,
    refuse_missing_columns,
    refuse_repeated_columns,
    source_name,
)
from bertscape_workers.admission.text_files import json_objects, text_lines

__all__ = [
    "COMPLETE_CHECKPOINT_HINT",
    "CONFIG_FILE",
    "ENVIRONMENT",
    "FLOATING",
    "KEPT_STATES",
    "Admitted",
    "HeldElsewhere",
    "Members",
    "MemoryLimits",
    "MemoryNeed",
    "ModelFound",
    "TensorHeader",
    "admit",
    "admitted",
    "forget_numeric_settings",
    "has_tokenizer",
    "json_objects",
    "keep_freed_memory",
    "lacking",
    "members",
    "memory_for",
    "memory_for_training",
    "memory_need",
    "no_examples",
    "parquet_class_names",
    "parquet_columns",
    "read_json",
    "refuse_local_dataset",
    "refuse_missing_columns",
    "refuse_no_folder",
    "refuse_repeated_columns",
    "refuse_repeated_settings",
    "sign",
    "source_name",
    "take",
    "tensor_headers",
    "text_lines",
    "unread_files",
    "weight_files",
    "wrapper_prefix",
]
