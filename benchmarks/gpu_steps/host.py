"""What there is: versions, the GPU, and whether torch reaches it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch

from gpu_steps.telling import NEEDS_CUDA, Setting, Told

PACKAGES = ("bertscape", "torch", "transformers", "ray", "numpy", "triton", "accelerate")


def run(told: Told, setting: Setting) -> None:
    """Say it."""
    told.figure(
        "versions",
        python=platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        cuda=torch.version.cuda,
    )
    told.figure("processor", cores=os.cpu_count(), load=os.getloadavg()[0])
    if not setting.cuda:
        told.skipped("GPU", NEEDS_CUDA)
        return
    told.check("GPU", torch.cuda.is_available())
    properties = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info()
    told.figure(
        "GPU",
        name=properties.name,
        capability=f"{properties.major}.{properties.minor}",
        multiprocessors=properties.multi_processor_count,
        free_mib=free >> 20,
        total_mib=total >> 20,
    )
    left, right = (torch.randn((8192, 8192), device="cuda").bfloat16() for _ in range(2))
    told.check("a product in bf16", bool((left @ right).isfinite().all()))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
