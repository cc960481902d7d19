"""Fine-tunings of tests: their specs, and the same with some value changed; one thread."""

from functools import partial
from typing import Any

from bertscape.spec import FinetuneSpec, Training, parse_spec
from bertscape_workers import training

check = partial(training.check, threads=1)
finetune = partial(training.finetune, threads=1)


def training_spec(pretrained: object, data: Any, **settings: Any) -> FinetuneSpec:
    """A training from that folder; `settings` are keys of `training`."""
    spec: Any = parse_spec(
        {
            "kind": "finetune",
            "model": {"pretrained": str(pretrained)},
            "data": data,
            "training": settings,
        }
    )
    return spec


def changed(spec: FinetuneSpec, **changes: Any) -> FinetuneSpec:
    """The same with other values: keys of `training`, `pretrained`, or keys of the spec."""
    value = spec.to_json()
    for key, one in changes.items():
        if key == "pretrained":
            value["model"] = {"pretrained": str(one)}
        else:
            (value["training"] if key in Training.model_fields else value)[key] = one
    found: Any = parse_spec(value)
    return found
