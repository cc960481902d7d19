"""A GPU whose memory is full: a job is refused or computed, and its worker lives on.

The memory is taken by plain allocations of this process, while a service's worker holds the GPU
too. Then come two jobs: one whose parameters do not fit in what is left, and one whose parameters
fit while a block of its examples may not. Afterwards the memory is given back, and a small job must
be completed by the worker that was there before.
"""

from dataclasses import replace
from typing import Any

import torch
from tests.workers.tiny_inputs import bert_config, write_tsv

from bertscape import Client
from bertscape.values import JobFailed
from gpu_steps.inputs import architectures, checkpoints
from gpu_steps.running_service import job_s, running_service, worker
from gpu_steps.telling import NEEDS_CUDA, Setting, Told

CHUNK, SMALLEST = 1 << 30, 16 << 20  # bytes of an allocation
# Bytes left to the worker's next jobs, and what is not to fit in them.
LEFT = {"its parameters": 300 << 20, "its blocks": 1100 << 20}

# What torch and the library of products say when an allocation fails.
OUT_OF_MEMORY = ("memory", "alloc_failed", "not_initialized")


def run(told: Told, setting: Setting) -> None:
    """With a service of its own."""
    with running_service(told, setting) as client:
        jobs(told, setting, client)


def jobs(told: Told, setting: Setting, client: Client) -> None:
    """The small job, the large ones beside a full GPU, and the small one again."""
    small = checkpoints(setting.folder / "small", architectures(small=True)["bert"]).spec()
    large = _large(setting)
    _completed(told, "a job before", client, small.to_json(), setting)
    before = worker().pid
    for what, left in LEFT.items():
        with told.guard(f"beside a full memory: {what}"):
            _beside(told, what, left, client, large, setting)
    _completed(told, "the same job after", client, small.to_json(), setting)
    told.check("the worker lives", worker().pid == before)


def _large(setting: Setting) -> dict[str, Any]:
    """A model of 29 million parameters, and examples that fill a block of a GPU."""
    config = (
        bert_config()
        if setting.small
        else bert_config(
            vocab_size=30522,
            hidden_size=512,
            num_hidden_layers=4,
            num_attention_heads=8,
            intermediate_size=2048,
            initializer_range=0.05,
        )
    )
    made = checkpoints(setting.folder / "large", config)
    examples = 40 if setting.small else 4000
    made = replace(made, train=write_tsv(setting.folder / "large" / "many.tsv", examples, seed=3))
    spec: dict[str, Any] = made.spec(
        grid={"x": [-1, 1, 3], "y": [-1, 1, 2]}, precision="bf16" if setting.cuda else "fp32"
    ).to_json()
    return spec


def _beside(
    told: Told, what: str, left: int, client: Client, spec: dict[str, Any], setting: Setting
) -> None:
    taken = _filled(left) if setting.cuda else []
    if not setting.cuda:
        told.skipped(f"filling the memory: {what}", f"{NEEDS_CUDA}; the job ran without")
    try:
        job = client.submit(spec)
        try:
            job.wait(progress=False, timeout=job_s(setting))
        except JobFailed as failed:
            detail = " ".join(str(failed).split())[-300:]
        else:
            detail = ""
        free = torch.cuda.mem_get_info()[0] if setting.cuda else 0
        told.check(
            f"beside a full memory: {what}",
            job.state == "completed" or any(one in detail.lower() for one in OUT_OF_MEMORY),
            state=job.state,
            mib_left=left >> 20,
            mib_free_after=free >> 20,
            detail=detail,
        )
    finally:
        taken.clear()
        if setting.cuda:
            torch.cuda.empty_cache()


def _filled(left: int) -> list[torch.Tensor]:
    """All of the GPU's free memory but this much, by plain allocations."""
    taken = []
    size = CHUNK
    while size >= SMALLEST:
        free, _ = torch.cuda.mem_get_info()
        if free - size < left:
            size //= 2
            continue
        taken.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
    return taken


def _completed(
    told: Told, what: str, client: Client, spec: dict[str, Any], setting: Setting
) -> None:
    job = client.submit(spec)
    job.wait(progress=False, timeout=job_s(setting))
    told.check(what, job.completed, points=job.status.points_done)
