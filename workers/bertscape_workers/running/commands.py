"""The commands `run` and `finetune`; importing this needs no extra."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args, get_origin

from bertscape.cli import RESULT, refuse_unwritable, warn_of_failed_checks, write_json, write_line
from bertscape.values import DONE, Command, InvalidInput, ProblemType

if TYPE_CHECKING:
    from bertscape.http import StageProgress
    from bertscape.results import Result
    from bertscape.spec import FinetuneSpec
    from bertscape_workers.training import FineTuned

_REQUIRES = ("torch", "transformers", "safetensors", "tokenizers", "datasets", "accelerate")


def _word_or_count(text: str) -> str | int:
    """A word or a whole number, given as an option's value."""
    return int(text) if text.isascii() and text.isdecimal() else text


def _positive(text: str) -> int:
    """A whole number above 0, given as an option's value."""
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r}: expected a whole number, at least 1")
    return int(text)


# --- run ----------------------------------------------------------------------------------------


def _add_run_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, help="the job spec, a YAML or JSON file")
    parser.add_argument(
        *("-o", "--output"),
        type=Path,
        required=True,
        help="the HDF5 file to write; for a finetune the folder for the checkpoints",
    )
    parser.add_argument(
        "--threads", type=_positive, default=1, help="CPU threads (default 1, like a worker)"
    )
    parser.add_argument("--json", action="store_true", help="print a summary as JSON")


def _run(options: Namespace) -> int:
    from bertscape.spec import load_spec

    spec = load_spec(options.spec)
    if spec.trains:
        return _train(cast("FinetuneSpec", spec), options, "run")
    refuse_unwritable(options.output, RESULT)

    from bertscape_workers.running.local_run import run_job

    with _stages("bertscape run: interrupted; nothing was written") as stages:
        result = run_job(spec, stages, threads=options.threads)
    result.save(options.output)
    _report(result, options.output, as_json=options.json)
    return DONE


def _train(spec: "FinetuneSpec", options: Namespace, command: str) -> int:
    from bertscape_workers.jobs import train_here

    output = options.output.expanduser()
    if output.exists() and not output.is_dir():
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, "-o", str(output), "a folder, for checkpoints", "is a file"
        )
    with _stages(f"bertscape {command}: interrupted; checkpoints are in {output}") as stages:
        result = train_here(spec, output, stages, threads=options.threads)
    _report_training(result, as_json=options.json)
    return DONE


@contextmanager
def _stages(interrupted: str) -> "Iterator[StageProgress]":
    """Bars for the stages of a run; prints `interrupted` if it is."""
    from bertscape.http import StageProgress

    stages = StageProgress()
    try:
        yield stages
    except KeyboardInterrupt:
        stages.close()
        _say(interrupted)
        raise
    finally:
        stages.close()


def _report(result: "Result", output: Path, *, as_json: bool) -> None:
    from bertscape.results import summarize

    checks = [check.model_dump(mode="json") for check in result.self_checks]
    points, failed = int(result.evaluated.sum()), len(result.failed_self_checks)
    warn_of_failed_checks(checks)
    if as_json:
        summary = {"output": str(output), "points": points, "self_checks_failed": failed}
        write_json({**summary, "self_checks": checks})
    else:
        write_line(f"{output}: {points} points, self-checks {summarize(checks)}")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


RUN = Command(
    name="run",
    help="run a job in this process, without a service",
    add_arguments=_add_run_arguments,
    run=_run,
    extra="workers",
    requires=_REQUIRES,
)


# --- finetune -----------------------------------------------------------------------------------


def _add_finetune_arguments(parser: ArgumentParser) -> None:
    _add_model_arguments(parser)
    _add_data_arguments(parser)
    _add_training_arguments(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="the folder for the checkpoints"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_model_arguments(parser: ArgumentParser) -> None:
    model = parser.add_argument_group("model")
    source = model.add_mutually_exclusive_group(required=True)
    source.add_argument("--pretrained", type=Path, help="a checkpoint folder")
    source.add_argument("--hub", help="a checkpoint on the hub, by its id")
    model.add_argument(
        "--revision", help="revision of the --hub checkpoint: a branch, a tag or a commit"
    )
    model.add_argument(
        "--tokenizer", type=Path, help="a tokenizer's folder (default: the checkpoint's)"
    )


def _add_data_arguments(parser: ArgumentParser) -> None:
    data = parser.add_argument_group("data")
    data.add_argument(
        "--train", required=True, help="the training split: a file, or with --dataset a split name"
    )
    data.add_argument(
        "--eval", required=True, help="the evaluation split: a file, or with --dataset a split name"
    )
    data.add_argument("--dataset", help="a `datasets` id; --train and --eval then name its splits")
    data.add_argument("--config", help="configuration of the --dataset")
    data.add_argument("--dataset-revision", help="revision of the --dataset")
    data.add_argument(
        "--text", nargs="+", required=True, metavar="COLUMN", help="the text column, or two of them"
    )
    data.add_argument(
        "--label", default="label", metavar="COLUMN", help="the label column (default: label)"
    )
    data.add_argument(
        "--max-length", type=_positive, default=128, help="most tokens of an example (default 128)"
    )
    data.add_argument(
        "--train-examples", type=_positive, help="train on a random sample of this many"
    )
    data.add_argument(
        "--eval-examples", type=_positive, help="evaluate on a random sample of this many"
    )
    data.add_argument("--sample-seed", type=int, default=0, help="seed of the samples (default 0)")


def _add_training_arguments(parser: ArgumentParser) -> None:
    """An option for each key of `training`, and for `precision`."""
    from bertscape.spec import FinetuneSpec, Training

    group = parser.add_argument_group("training")
    precision = FinetuneSpec.model_fields["precision"]
    for name, field in {**Training.model_fields, "precision": precision}.items():
        shown = "" if field.default is None else f" (default {field.default})"
        group.add_argument(
            f"--{name.replace('_', '-')}",
            default=field.default,
            help=f"{field.description}{shown}",
            **_value_of(field.annotation),
        )
    group.add_argument("--threads", type=_positive, help="CPU threads (default: torch's choice)")


def _value_of(annotation: Any) -> dict[str, Any]:
    """How an option takes what a key of that type holds; its bounds are the spec's to check."""
    if get_origin(annotation) is Literal:
        return {"choices": get_args(annotation)}
    match [one for one in get_args(annotation) or (annotation,) if one is not type(None)]:
        case [kind] if get_origin(kind) is tuple:
            return {"nargs": "+", "metavar": "NAME"}
        case [kind]:
            return {"type": kind}
        case _:
            return {"type": _word_or_count}


def _finetune(options: Namespace) -> int:
    spec = _finetune_spec(options)  # before torch is imported: a wrong option is told at once
    return _train(spec, options, "finetune")


def _finetune_spec(options: Namespace) -> "FinetuneSpec":
    """The job that the options describe, with a spec's own checks and messages."""
    from bertscape.spec import Training, parse_spec

    settings = {name: getattr(options, name) for name in Training.model_fields}
    tokenizer = None if options.tokenizer is None else _path(options.tokenizer)
    model = {"pretrained": _pretrained(options), "tokenizer": tokenizer}
    value = {
        "kind": "finetune",
        "model": {key: one for key, one in model.items() if one is not None},
        "data": _data(options),
        "training": {key: one for key, one in settings.items() if one is not None},
        "precision": options.precision,
    }
    return cast("FinetuneSpec", parse_spec(value))


def _report_training(result: "FineTuned", *, as_json: bool) -> None:
    if as_json:
        summary = {
            "output": str(result.folder),
            "checkpoints": [str(path) for path in result.checkpoints],
            "labels": list(result.labels),
            "eval_accuracy": result.eval_accuracy,
            "eval_loss": result.eval_loss,
        }
        write_json(summary)
    else:
        count = len(result.checkpoints)
        write_line(
            f"{result.folder}: {count} {'checkpoint' if count == 1 else 'checkpoints'}, "
            f"dev accuracy {result.eval_accuracy:.4f}"
        )


def _pretrained(options: Namespace) -> str | dict[str, str]:
    named = {"hub": options.hub, "revision": options.revision}
    if options.hub is not None:
        return {key: one for key, one in named.items() if one is not None}
    if options.revision is not None:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE,
            "--revision",
            options.revision,
            "--hub as well: --revision needs --hub",
        )
    return _path(options.pretrained)


def _path(path: Path) -> str:
    return str(path.expanduser().absolute())


def _data(options: Namespace) -> dict[str, Any]:
    return {
        "train": _split(options, options.train, options.train_examples),
        "eval": _split(options, options.eval, options.eval_examples),
        "text": options.text,
        "label": options.label,
        "max_length": options.max_length,
    }


def _split(options: Namespace, where: str, examples: int | None) -> dict[str, Any]:
    sample = {} if examples is None else {"examples": examples, "seed": options.sample_seed}
    if options.dataset is None:
        return {"path": _path(Path(where)), **sample}
    source = {
        "dataset": options.dataset,
        "config": options.config,
        "split": where,
        "revision": options.dataset_revision,
    }
    return {**{key: item for key, item in source.items() if item is not None}, **sample}


FINETUNE = Command(
    name="finetune",
    help="fine-tune a classifier into a folder of checkpoints (a trajectory)",
    add_arguments=_add_finetune_arguments,
    run=_finetune,
    extra="workers",
    requires=_REQUIRES,
)
