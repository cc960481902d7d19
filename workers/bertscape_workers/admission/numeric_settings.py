"""Variables by which a user's shell would change the last bits of numbers, or more than these.

The libraries read them when they first compute. Results must not depend on who started a process,
so whatever computes forgets them first. `ENVIRONMENT` and the thread variables are not among them:
those are set by us.
"""

import logging
import os

SETTINGS = (
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ATEN_CPU_CAPABILITY",
    "OPENBLAS_CORETYPE",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)

_log = logging.getLogger(__name__)


def forget_numeric_settings() -> None:
    """Drop them from this process and from those that it starts, and say which were set."""
    for name in SETTINGS:
        if (value := os.environ.pop(name, None)) is not None:
            _log.warning("ignoring %s=%s: results must not depend on it", name, value)
