"""`run` from the spec file to the HDF5 file, in this process."""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.workers.tiny_inputs import Inputs, save_tokenizer, write_tsv
from transformers import ViTConfig

from bertscape.cli import main
from bertscape.results import Surface
from bertscape.spec import FinetuneSpec, Training
from bertscape.values import InvalidInput
from bertscape_workers.evaluation import evaluator_for
from bertscape_workers.jobs.prepare import prepare
from bertscape_workers.running.commands import FINETUNE, RUN
from bertscape_workers.running.local_run import run_job


def run(command: Any, *arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    status: int = command.run(parser.parse_args(arguments))
    return status


def spec_file(folder: Path, value: dict[str, Any]) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(value))
    return path


def test_run_writes_the_surface(
    bert: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = bert.spec(trajectory=[str(bert.pretrained), str(bert.finetuned)]).to_json()
    output = tmp_path / "surface.h5"
    assert run(RUN, str(spec_file(tmp_path, value)), "-o", str(output)) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{output}: 9 points, self-checks 3 of 3 passed\n"
    assert shown.err == ""  # no bars in a pipe

    surface = Surface.load(output)
    assert surface.complete
    assert surface.train_loss.shape == (3, 3)
    evaluator = evaluator_for(prepare(bert.spec()).inputs)
    for row, beta in enumerate((-1.0, 0.0, 1.0)):
        for column, alpha in enumerate((-1.0, 0.0, 1.0)):
            expected = evaluator.evaluate(alpha, beta)
            np.testing.assert_array_equal(surface.numbers[:, row, column], expected)


def test_paths_in_a_spec_are_relative_to_its_folder(bert: Inputs, tmp_path: Path) -> None:
    folder = bert.pretrained.parent
    value = json.loads(json.dumps(bert.spec().to_json()).replace(f"{folder}/", ""))
    value["grid"] = {"x": [0, 1, 2], "y": [0, 1, 2]}
    path = folder / "relative.yaml"
    path.write_text(yaml.safe_dump(value))
    assert run(RUN, str(path), "-o", str(tmp_path / "surface.h5")) == 0


def test_a_curve_has_one_axis(bert: Inputs) -> None:
    stages: list[tuple[str, int, int]] = []
    curve = run_job(
        bert.spec(kind="curve", y=None, grid={"x": [0, 1, 3]}, trajectory=[str(bert.toward)]),
        lambda *stage: stages.append(stage),
    )
    assert isinstance(curve, Surface)
    assert curve.numbers.shape == (8, 3)
    assert curve.findings.cosine is None
    assert curve.findings.delta2_norm is None
    checks = {check.checkpoint: check for check in curve.self_checks}
    assert curve.train_loss[0] == checks["pretrained"].found[0]
    assert curve.train_loss[2] == checks["finetuned"].found[0]
    assert curve.trajectory is not None
    assert curve.trajectory.beta_lsq == (0.0,)
    assert stages[0][0] == "reading checkpoints"
    assert [stage for stage in stages if stage[0] == "evaluating"] == [
        ("evaluating", done, 3) for done in range(4)
    ]


def test_the_trajectory_is_projected_and_measured(bert: Inputs) -> None:
    folders = [bert.pretrained, bert.finetuned, bert.toward]
    prepared = prepare(bert.spec(trajectory=[str(folder) for folder in folders]))
    findings, found = prepared.findings, prepared.findings.trajectory
    assert found is not None
    assert found.step == (0, 1, 2)  # "other" has no number, so the places count
    assert found.alpha[:2] == (0.0, 1.0)
    assert found.beta[:2] == pytest.approx((0.0, 0.0), abs=1e-6)
    assert findings.delta2_norm is not None
    assert findings.cosine is not None
    ratio = findings.delta2_norm / findings.delta1_norm
    assert found.alpha[2] == pytest.approx(findings.cosine * ratio, abs=1e-7)
    assert math.hypot(found.alpha[2], found.beta[2]) == pytest.approx(ratio)
    assert found.alpha_lsq == pytest.approx((0.0, 1.0, 0.0), abs=1e-7)
    assert found.beta_lsq == pytest.approx((0.0, 0.0, ratio), abs=1e-7)
    assert found.residual == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    checks = {check.checkpoint: check for check in findings.self_checks}
    for numbers, name in zip(found.numbers, ("pretrained", "finetuned", "toward"), strict=True):
        assert numbers[0] == pytest.approx(checks[name].expected[0], rel=1e-5)


def test_the_papers_projection_is_defined_from_theta0_along_delta1_alone(bert: Inputs) -> None:
    trajectory = [str(bert.finetuned)]
    for changes in ({"origin": "finetuned"}, {"x": {"random": {"seed": 1}}}):
        found = prepare(bert.spec(trajectory=trajectory, **changes)).findings.trajectory
        assert found is not None
        assert math.isnan(found.alpha[0])
        assert math.isnan(found.beta[0])
        assert math.isfinite(found.alpha_lsq[0])
    assert found.step == (12,)


def test_preparing_twice_finds_the_same(bert: Inputs) -> None:
    spec = bert.spec(y={"random": {"seed": 7}}, trajectory=[str(bert.toward)])
    assert not list(prepare(spec).findings.differences(prepare(spec).findings))


def test_numbers_that_are_not_finite_are_kept_and_said(bert: Inputs, tmp_path: Path) -> None:
    surface = run_job(bert.spec(grid={"x": [0, 1e30, 2], "y": [0, 1, 2]}))
    assert isinstance(surface, Surface)
    assert np.isnan(surface.train_loss[:, 1]).all()
    assert surface.evaluated.all()  # computed, not a hole
    surface.save(tmp_path / "surface.h5")
    again = Surface.load(tmp_path / "surface.h5")
    np.testing.assert_array_equal(again.numbers, surface.numbers)


def test_json_says_what_a_script_needs(
    bert: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = spec_file(tmp_path, bert.spec(grid={"x": [0, 1, 2], "y": [0, 1, 2]}).to_json())
    assert run(RUN, str(path), "-o", str(tmp_path / "a.h5"), "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["points"] == 4
    assert summary["self_checks_failed"] == 0
    assert [check["passed"] for check in summary["self_checks"]] == [True] * 3


def test_run_refuses_before_it_works(bert: Inputs, tmp_path: Path) -> None:
    value = bert.spec().to_json()
    with pytest.raises(InvalidInput, match=r"-o: .*in an existing folder"):
        run(RUN, str(spec_file(tmp_path, value)), "-o", str(tmp_path / "no" / "a.h5"))
    path = spec_file(tmp_path, value)
    with pytest.raises(InvalidInput, match=r"-o: .*is a file of another kind"):
        run(RUN, str(path), "-o", str(path))
    value["data"]["train"]["path"] = str(tmp_path / "none.tsv")
    with pytest.raises(InvalidInput, match=r"data\.train\.path: .*none\.tsv"):
        run(RUN, str(spec_file(tmp_path, value)), "-o", str(tmp_path / "a.h5"))
    assert not (tmp_path / "a.h5").exists()


def test_a_label_outside_the_head_is_found_while_preparing(bert: Inputs, tmp_path: Path) -> None:
    lines = bert.train.read_text().splitlines()
    lines[4] = lines[4].rsplit("\t", 1)[0] + "\t3"
    (tmp_path / "train.tsv").write_text("\n".join(lines))
    spec = bert.spec(data=bert.data(train={"path": str(tmp_path / "train.tsv")}))
    with pytest.raises(InvalidInput, match=r"data\.train, line 5: label: '3'; expected.*0 to 2"):
        run_job(spec)


# --- finetune -----------------------------------------------------------------------------------


def test_finetune_from_the_command_line(
    bert: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    status = run(
        FINETUNE,
        *("--pretrained", str(bert.pretrained), "--train", str(bert.train)),
        *("--eval", str(bert.eval), "--text", "first", "second", "--max-length", "32"),
        *("--epochs", "1", "--seed", "4", "-o", str(output)),
    )
    assert status == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith(f"{output}: 2 checkpoints, dev accuracy 0.")
    # What it leaves is itself a trajectory with a plane.
    folders = sorted(output.glob("checkpoint-*"))
    model = {"pretrained": str(folders[0]), "finetuned": str(folders[1])}
    spec = bert.spec(
        model=model,
        y={"random": {"seed": 0}},
        grid={"x": [0, 1, 2], "y": [0, 1, 2]},
        trajectory=[str(folder) for folder in folders],
    )
    surface = run_job(spec)
    assert isinstance(surface, Surface)
    assert all(check.passed for check in surface.self_checks)
    assert surface.trajectory is not None
    assert surface.trajectory.step == (0, 2)


def training_spec(bert: Inputs, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "finetune",
        "model": {"pretrained": str(bert.pretrained)},
        "data": bert.data(),
        "training": {"max_steps": 4, "keep": 2, "batch_size": 8, "seed": 4},
        **changes,
    }


def test_run_trains_into_a_folder(
    bert: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = spec_file(tmp_path, training_spec(bert)), tmp_path / "out"
    assert run(RUN, str(path), "-o", str(output), "--json") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    summary = json.loads(shown.out)
    assert summary["checkpoints"] == [f"{output}/checkpoint-{step}" for step in (0, 2, 4)]
    assert summary["labels"] == ["0", "1", "2"]
    # `finetune` with the same settings is the same run.
    again = tmp_path / "again"
    arguments = [
        *("--pretrained", str(bert.pretrained), "--train", str(bert.train)),
        *("--eval", str(bert.eval), "--text", "first", "second", "--max-length", "32"),
        *("--max-steps", "4", "--keep", "2", "--batch-size", "8", "--seed", "4"),
        *("--threads", "1", "--precision", "fp32", "-o", str(again)),
    ]
    assert run(FINETUNE, *arguments) == 0
    for name in ("checkpoint-0", "checkpoint-2", "checkpoint-4"):
        weights = Path(name) / "model.safetensors"
        assert (output / weights).read_bytes() == (again / weights).read_bytes()
    with pytest.raises(InvalidInput, match="holds checkpoint-0"):
        run(RUN, str(path), "-o", str(output))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"labels": ["a", "b", "c"]}}, r"data\.train, line 2: label: 'x'.*a, b, c"),
        ({"training": {"labels": ["x", "y"]}}, r"data\.train, line 4: label: 'z'.*x, y"),
        ({"training": {"max_steps": 5000, "keep": 1}}, r"training\.keep: 1 of 5000 steps keeps 5"),
        ({"precision": "bf16"}, r"precision: 'bf16'; expected a GPU"),
        ({"model": {"pretrained": {"job": "3f"}}}, r"model\.pretrained: .*known to its service"),
    ],
)
def test_what_no_training_can_begin_with_is_named(
    bert: Inputs, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    named = write_tsv(tmp_path / "named.tsv", 9, seed=3, labels=("x", "y", "z"))
    splits = {name: {"path": str(named)} for name in ("train", "eval")}
    path = spec_file(tmp_path, training_spec(bert, **{"data": bert.data(**splits), **changes}))
    with pytest.raises(InvalidInput, match=message):
        run(RUN, str(path), "-o", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_model_of_another_kind_is_named(bert: Inputs, tmp_path: Path) -> None:
    folder = tmp_path / "vision"
    ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(folder)
    save_tokenizer(folder)
    training = {"start": "scratch"}
    model = {"pretrained": str(folder)}
    path = spec_file(tmp_path, training_spec(bert, model=model, training=training))
    with pytest.raises(InvalidInput, match=r"model\.pretrained: .*can classify sequences with"):
        run(RUN, str(path), "-o", str(tmp_path / "out"))


def test_a_job_of_a_service_is_no_input_here(
    bert: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"pretrained": {"job": "3f"}, "finetuned": str(bert.finetuned)}
    path = spec_file(tmp_path, {**bert.spec().to_json(), "model": model})
    assert main(["run", str(path), "-o", str(tmp_path / "out.h5")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bertscape: model.pretrained: ")
    assert "a job's output is known to its service alone" in line


def test_finetune_has_every_setting() -> None:
    parser = argparse.ArgumentParser()
    FINETUNE.add_arguments(parser)
    given = ["--pretrained", "p", "--train", "t", "--eval", "e", "--text", "c", "-o", "out"]
    options = vars(parser.parse_args(given))
    fields = {**Training.model_fields, "precision": FinetuneSpec.model_fields["precision"]}
    for name, field in fields.items():
        assert options[name] == field.default, name
    assert options["tokenizer"] is options["threads"] is None
    help_text = parser.format_help()
    for choices in ("{pretrained,scratch}", "{linear,cosine,constant}", "{auto,fp32,bf16}"):
        assert choices in help_text
    assert "examples of an optimizer step (default 32)" in help_text


def test_finetune_takes_each_setting() -> None:
    parser = argparse.ArgumentParser()
    FINETUNE.add_arguments(parser)
    given = ["--pretrained", "p", "--train", "t", "--eval", "e", "--text", "c", "-o", "out"]
    set_ones = {"labels": ["a", "b"], "max_steps": 4, "learning_rate": 1e-3, "keep": 2}
    for name, value in set_ones.items():
        texts = value if isinstance(value, list) else [value]
        given += [f"--{name.replace('_', '-')}", *map(str, texts)]
    options = vars(parser.parse_args(given))
    assert {name: options[name] for name in set_ones} == set_ones
    assert parser.parse_args([*given, "--keep", "epoch"]).keep == "epoch"
