"""The study that the demo writes: read as any other, and fit for its model."""

from pathlib import Path

from bertscape.layer_group import LayerGroup
from bertscape.spec import load_study
from bertscape.study import plan
from bertscape_service.demo_study import LAYERS, STUDY_FILE, study_text
from bertscape_workers.generated_language import SMALL, write_demo_data


def test_its_study_is_one_of_all_parts(tmp_path: Path) -> None:
    data = write_demo_data(tmp_path / "data", 0, SMALL)
    file = tmp_path / STUDY_FILE
    file.write_text(study_text(file, {"mood": data.target, "topic": data.other}, 7))
    study = load_study(file)
    parts = {step.part for step in plan(study)}
    assert parts == {"start", "finetune", "curve", "surface", "layers", "rollback"}
    assert study.tasks["mood"].data == data.target
    assert study.tasks["topic"].data == data.other
    assert study.training.seed == 7


def test_its_model_has_a_layer_for_each_third() -> None:
    assert all(len(LayerGroup(third).layers(LAYERS)) == 1 for third in ("low", "middle", "high"))
