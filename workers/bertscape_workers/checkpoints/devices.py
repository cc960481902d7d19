"""The device that evaluates: which one, its name, and how many threads it uses."""

import platform
from pathlib import Path

import torch

from bertscape_workers.admission import forget_numeric_settings

_CPU_INFO = Path("/proc/cpuinfo")


def pick_device() -> str:
    """The GPU if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_model(device: str | None = None) -> str:
    """The model name of the GPU or of the CPU: results are equal on equal models."""
    if (device or pick_device()).startswith("cuda"):
        return torch.cuda.get_device_name()
    return _cpu_model()


def rounds_products(device: str) -> bool:
    """Whether it multiplies in TF32 and bfloat16: NVIDIA's since compute capability 8.0."""
    return device.startswith("cuda") and torch.cuda.get_device_capability(device) >= (8, 0)


def set_threads(count: int) -> None:
    """Compute with `count` CPU threads in this process; sums, and so results, depend on it.

    Whatever the environment or a `sitecustomize` has set, float32 is float32.
    """
    forget_numeric_settings()
    torch.set_float32_matmul_precision("highest")
    torch.set_num_threads(count)


def _cpu_model() -> str:
    if _CPU_INFO.is_file():
        fields = (line.partition(":") for line in _CPU_INFO.read_text().splitlines())
        names = {name.strip(): value.strip() for name, _, value in fields}
        if "model name" in names:
            # Hypervisors give many models one name; family, model and stepping tell them apart.
            numbers = (names.get(name, "?") for name in ("cpu family", "model", "stepping"))
            return f"{names['model name']} ({'.'.join(numbers)})"
    return platform.processor() or platform.machine()
