"""A fine-tuning in bf16: its loss falls, and it leaves float32 weights that can be read."""

import math
import time
from dataclasses import replace

import torch
from safetensors.torch import load_file
from tests.workers.trainings import training_spec

from bertscape_workers.checkpoints import quiet_transformers
from bertscape_workers.generated_language import DEMO, SMALL, write_demo_data
from bertscape_workers.training import FineTuned, check, train
from gpu_steps.inputs import fresh_language_model
from gpu_steps.telling import NEEDS_CUDA, Setting, Told

FALLS = 0.8  # the last loss over the first, at most


def run(told: Told, setting: Setting) -> None:
    """Train, and look at the log and at the last checkpoint."""
    size = replace(SMALL, train_sentences=96, eval_sentences=32) if setting.small else DEMO
    data = write_demo_data(setting.folder / "data", 0, replace(size, corpus_sentences=200))
    files = sorted((setting.folder / "data").iterdir())
    texts = [line for file in files for line in file.read_text("utf-8").splitlines()]
    with quiet_transformers():
        start = fresh_language_model(setting.folder / "start", texts)
    spec = training_spec(
        start,
        data.target.model_dump(mode="json"),
        epochs=8,
        batch_size=16,
        learning_rate=1e-3,
    )
    inputs = check(spec, threads=torch.get_num_threads())
    if setting.cuda:
        told.check("auto is bf16", inputs.bf16)
    else:
        told.skipped("auto is bf16", f"{NEEDS_CUDA}; the CPU's autocast took its place")
    for bf16 in (True,) if setting.small else (True, False):
        what = "bf16" if bf16 else "fp32"
        with told.guard(what):
            began = time.monotonic()
            trained = train(replace(inputs, bf16=bf16), setting.folder / what)
            _tell(told, what, trained, inputs.steps, time.monotonic() - began)


def _tell(told: Told, what: str, trained: FineTuned, steps: int, seconds: float) -> None:
    losses = [one.loss for one in trained.output.log if one.loss is not None]
    few = max(1, len(losses) // 8)
    first, last = sum(losses[:few]) / few, sum(losses[-few:]) / few
    weights = load_file(trained.final / "model.safetensors")
    told.check(
        what,
        last <= FALLS * first
        and math.isfinite(trained.eval_loss)
        and all(one.dtype == torch.float32 for one in weights.values()),
        first_loss=first,
        last_loss=last,
        steps=steps,
        seconds=seconds,
        eval_loss=trained.eval_loss,
        eval_accuracy=trained.eval_accuracy,
    )
