"""`docs/architectures.md` is whole, of today's transformers, and holds nothing wrong."""

from pathlib import Path

import transformers
from tests.workers.architectures import page
from tests.workers.architectures.page import Case, Row
from tests.workers.architectures.sweep import Finding
from tests.workers.architectures.tiny_models import MODEL_TYPES


def test_the_page_lists_every_model_type_and_whatever_else_is_tried() -> None:
    _, rows = page.read(page.PAGE)
    assert [(row.model_type, row.remark) for row in rows] == [one.name for one in page.all_cases()]
    assert {row.model_type for row in rows} == set(MODEL_TYPES)


def test_the_page_was_made_by_the_transformers_that_is_installed() -> None:
    version, _ = page.read(page.PAGE)
    assert version == transformers.__version__


def test_no_line_of_the_page_is_wrong_or_without_its_reason() -> None:
    _, rows = page.read(page.PAGE)
    for row in rows:
        assert row.verdict in ("packed", "plain", "refused"), row
        assert bool(row.why) == (row.verdict == "refused"), row
        if row.verdict != "refused":
            assert float(row.deviation) <= 1e-5, row
            assert row.errors.startswith("0 of "), row


def test_a_page_is_read_as_it_was_written(tmp_path: Path) -> None:
    right = Finding("bert", 2, "packed", loss=1e-8, lengths=0.0, checks=(3, 3), rates=8)
    refused = Finding("canine", 1, "refused", "model.finetuned: '/x' is short (a|b); expected more")
    rows = [
        page.row_of(Case("bert", "", {}), right),
        page.row_of(Case("canine", "single texts", {}), refused),
    ]
    page.write(tmp_path / "page.md", rows)
    assert page.read(tmp_path / "page.md") == (transformers.__version__, rows)


def test_a_verdict_that_changed_is_told() -> None:
    before = [Row("bert", "", "packed", ""), Row("gpt2", "", "plain", "")]
    after = [
        Row("bert", "", "plain", ""),
        Row("gpt2", "", "plain", ""),
        Row("new", "", "plain", ""),
    ]
    assert page.changed(before, after) == [
        "bert : was packed, is plain ()",
        "new : was not there, is plain ()",
    ]
    assert page.changed(before, before) == []
