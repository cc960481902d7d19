"""The report: whole, without a network, the same for equal results, open about what is missing."""

import argparse
import dataclasses
import json
import math
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from tests.client.report.bowl_study import a_layer_surface, a_surface, bowl, build

from bertscape.cli import main
from bertscape.cli.report_command import REPORT
from bertscape.figures import scale_of
from bertscape.report import write_report
from bertscape.report.contents import page_of
from bertscape.report.findings.findings import STATEMENTS, judge
from bertscape.report.parts.blocks import Cell, Page, Picture, Table, Text
from bertscape.report.parts.figures import figure_of, map_panel
from bertscape.report.parts.theme import SERIES
from bertscape.spec import parse_study
from bertscape.study import StudyResults, plan
from bertscape.study.folder import StepRecord, StudyRecord, result_name, write_json
from bertscape.values import CheckpointFound

SECTIONS = [
    *("findings", "accuracy", "curves", "training-loss", "optimization", "generalization"),
    *("layers", "longer", "rollback", "widths", "shown", "self-checks", "provenance"),
]


class Reading(HTMLParser):
    """Tags with their attributes, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text.append(data)


def page_text(page: Page) -> str:
    """All words of a page, without drawing it."""
    words = [page.title]
    for block in (*page.lead, *(block for section in page.sections for block in section.blocks)):
        match block:
            case Table(caption, head, rows):
                cells = (cell.text if isinstance(cell, Cell) else cell for r in rows for cell in r)
                words += [caption, *head, *cells]
            case Picture(caption=caption, panels=panels):
                words += [caption, *(panel.alt for panel in panels)]
            case _:
                words.append(block.text)
    return "\n".join(words)


def page(results: StudyResults) -> Page:
    return page_of(results, judge(results))


def one_of_each(results: StudyResults) -> StudyResults:
    """Few pictures, as each takes a while to draw."""
    first = {
        "runs": "pretrained",
        "curves": "pretrained",
        "surfaces": "pretrained",
        "layers": "low",
    }
    parts = {
        part: {key: one for key, one in getattr(results, part).items() if key[1] == name}
        for part, name in first.items()
    }
    return dataclasses.replace(results, **parts)


def section(results: StudyResults | Page, name: str) -> str:
    whole = results if isinstance(results, Page) else page(results)
    (found,) = (one for one in whole.sections if one.name == name)
    return page_text(Page("", (), (found,)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests that look at files, which take seconds to draw."""
    return tmp_path_factory.mktemp("report")


@pytest.fixture
def written(folder: Path, results: StudyResults) -> Path:
    path = folder / "report.html"
    if not path.exists():
        write_report(results, path, folder / "figures", folder / "numbers.json")
    return path


# ------------------------------------------------------------------------------------- the file


def test_nothing_is_fetched(written: Path) -> None:
    reading = Reading(written.read_text(encoding="utf-8"))
    for tag, attributes in reading.tags:
        for name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
            target = attributes.get(name) or ""
            # A plain link is followed by the reader alone.
            assert tag == "a" or target.startswith(("#", "data:")) or not target, (tag, target)
    style = re.search(r"<style>(.*?)</style>", written.read_text(encoding="utf-8"), re.S)[1]
    assert "@import" not in style
    assert "url(" not in style
    scripts = [attributes for tag, attributes in reading.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "numbers"}]


def test_every_section_is_there_and_filled(written: Path, results: StudyResults) -> None:
    reading = Reading(written.read_text(encoding="utf-8"))
    ids = [attributes["id"] for _, attributes in reading.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    contents = [a["href"] for tag, a in reading.tags if tag == "a" and a["href"].startswith("#")]
    assert contents == [f"#{name}" for name in SECTIONS]
    assert set(SECTIONS) <= set(ids)
    for one in page(results).sections:
        assert any(isinstance(block, Table | Picture) for block in one.blocks), one.name
        assert not [block for block in one.blocks if isinstance(block, Text) and block.tone]


def test_every_caption_says_where_the_paper_has_its_counterpart(
    written: Path, results: StudyResults
) -> None:
    html = written.read_text(encoding="utf-8")
    without = ("self-checks", "provenance")  # the paper tells of nothing like them
    for one in page(results).sections:
        for block in one.blocks:
            if isinstance(block, Table | Picture):
                assert bool(block.paper) == (one.name not in without), (one.name, block.caption)
                assert f"In the paper: {escape(block.paper)}." in html or one.name in without
    assert html.count("In the paper: ") > 20


def test_every_picture_is_drawn_with_words_for_those_who_do_not_see_it(written: Path) -> None:
    reading = Reading(written.read_text(encoding="utf-8"))
    pictures = [attributes for tag, attributes in reading.tags if tag == "svg"]
    assert len(pictures) > 20
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"]) > 40
        assert "width" not in attributes
        assert attributes["viewbox"]


def test_pictures_have_text_and_the_colours_of_the_page(written: Path) -> None:
    html = written.read_text(encoding="utf-8")
    assert "α (δ1 = θ1 − θ0)" in re.sub(r"\s+", " ", html)
    pictures = html[html.index("<main>") : html.index("<script")]
    for color in ("#1c2126", "#5b6670", "#d9dee3", "#0067a6", "#c2500c"):
        assert color not in pictures
    assert "var(--series-1)" in pictures
    for name in set(re.findall(r"var\((--[\w-]+)\)", html)):
        assert f"{name}:" in html
    assert "DejaVu" not in pictures


def test_equal_results_make_equal_bytes(results: StudyResults, tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        numbers = folder / "numbers.json"
        write_report(one_of_each(results), folder / "report.html", folder / "figures", numbers)
    files = [file for file in (tmp_path / "a").rglob("*") if file.is_file()]
    assert len(files) > 12
    for file in files:
        again = tmp_path / "b" / file.relative_to(tmp_path / "a")
        assert file.read_bytes() == again.read_bytes()


def test_every_picture_is_a_file_too(written: Path, results: StudyResults) -> None:
    names = {
        block.name
        for one in page(results).sections
        for block in one.blocks
        if isinstance(block, Picture)
    }
    files = {file.name for file in (written.parent / "figures").iterdir()}
    assert files == {f"{name}.{ending}" for name in names for ending in ("svg", "png")}
    for name in names:
        svg = (written.parent / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        ET.fromstring(svg)
        assert "var(--" not in svg


def test_the_numbers_are_all_there_to_the_last_digit(written: Path, results: StudyResults) -> None:
    html = written.read_text(encoding="utf-8")
    embedded = re.search(r'<script type="application/json" id="numbers">(.*?)</script>', html, re.S)
    values = json.loads(embedded[1])
    assert values == json.loads(written.with_name("numbers.json").read_text(encoding="utf-8"))
    assert values["format"] == "bertscape report"
    (surface,) = (one for one in values["surfaces"] if one["start"] == "scratch")
    expected = results.surfaces["mrpc", "scratch"]
    assert np.array_equal(np.array(surface["train_loss"]), expected.train_loss)
    assert surface["alpha"] == expected.alpha.tolist()
    assert {one["outcome"] for one in values["verdicts"]} == {"holds"}
    assert len(values["runs"]) == 5
    assert values["rollbacks"][0]["group"] == ["none", "low", "middle", "high"]
    assert len(values["layers"]) == 3


# ----------------------------------------------------------------------------- what is user input


def test_names_are_text_wherever_they_stand(results: StudyResults, tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    surface = results.surfaces["mrpc", "pretrained"]
    checkpoint = CheckpointFound(source=f"/runs/{evil}", sha256="0" * 64)
    found = surface.findings.model_copy(update={"checkpoints": {evil: checkpoint}})
    surface = dataclasses.replace(surface, findings=found)
    spec = results.spec.model_copy(update={"name": evil, "pretrained": evil})
    evil_results = StudyResults(
        spec=spec,
        runs={},
        curves={},
        surfaces={("mrpc", "pretrained"): surface},
        layers={},
        rollbacks={},
        missing=(evil,),
        failed={evil: f"{evil} & $\\frac{{"},
    )
    write_report(evil_results, tmp_path / "report.html", numbers=tmp_path / "numbers.json")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    reading = Reading(html)
    assert [tag for tag, _ in reading.tags].count("script") == 1
    assert html.count("</script>") == 1
    assert evil in "".join(reading.text)
    assert json.loads((tmp_path / "numbers.json").read_text())["study"]["name"] == evil


def test_a_task_of_any_name_is_drawn(make_surface: Any, tmp_path: Path) -> None:
    base = one_of_each(build(make_surface, ("a",)))
    evil = '$x_{<script>"'  # no study has such a name; whoever builds results by hand may
    spec = base.spec.model_copy(update={"tasks": {evil: base.spec.tasks["a"]}})
    renamed = {
        name: {(evil, key[1]): one for key, one in getattr(base, name).items()}
        for name in ("runs", "curves", "surfaces", "layers")
    }
    results = StudyResults(spec, **renamed, rollbacks={evil: base.rollbacks["a"]})
    write_report(results, tmp_path / "report.html", tmp_path / "figures")
    reading = Reading((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [tag for tag, _ in reading.tags].count("script") == 1
    assert evil in "".join(reading.text)
    for file in (tmp_path / "figures").iterdir():
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", file.name)


# --------------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    ("part", "key", "name", "where"),
    [
        ("runs", ("mrpc", "scratch"), "finetune/mrpc/scratch", ("accuracy", "optimization")),
        ("curves", ("mrpc", "scratch"), "curve/mrpc/scratch", ("curves",)),
        (
            "surfaces",
            ("mrpc", "scratch"),
            "surface/mrpc/scratch",
            ("training-loss", "generalization", "widths", "shown"),
        ),
        ("surfaces", ("mrpc", "longer-10"), "surface/mrpc/longer-10", ("longer", "widths")),
        ("runs", ("mrpc", "longer-20"), "finetune/mrpc/longer-20", ("longer",)),
        ("layers", ("mrpc", "middle"), "layers/mrpc/middle", ("layers",)),
        ("rollbacks", "mrpc", "rollback/mrpc", ("rollback",)),
    ],
)
def test_a_missing_part_is_said_in_its_place(
    results: StudyResults, part: str, key: Any, name: str, where: tuple[str, ...]
) -> None:
    rest = {one: found for one, found in getattr(results, part).items() if one != key}
    torn = dataclasses.replace(results, **{part: rest}, missing=(name,))
    whole = page(torn)
    for one in where:
        assert f"Missing here: {name} (no result yet)" in section(whole, one)
    assert name in page_text(Page("", whole.lead, ()))
    failed = page(dataclasses.replace(torn, failed={name: "the disk is full"}))
    assert f"{name} (failed: the disk is full)" in section(failed, where[0])
    assert "the disk is full" in page_text(Page("", failed.lead, ()))


def test_a_study_that_has_only_begun_is_a_report_too(results: StudyResults, tmp_path: Path) -> None:
    keys = tuple(step.key for step in plan(results.spec))
    empty = StudyResults(results.spec, {}, {}, {}, {}, {}, missing=keys)
    write_report(empty, tmp_path / "report.html")
    text = "".join(Reading((tmp_path / "report.html").read_text(encoding="utf-8")).text)
    for key in keys:
        assert key in text
    assert f"{len(keys)} of {len(keys)} steps are missing" in text


def test_a_part_that_is_not_asked_for_is_said_to_be_none(results: StudyResults) -> None:
    values = {**results.spec.to_json(), "rollback": {"groups": []}}
    few = dataclasses.replace(results, spec=parse_study(values), rollbacks={})
    assert section(few, "rollback").endswith("The study does not ask for this part.")
    findings = section(few, "findings")
    for statement in STATEMENTS.values():
        assert findings.count(statement) == 2  # by tasks, and with its reasons
    assert findings.count("not asked for") == 2


def test_the_usual_training_beside_one_longer_has_its_own_surface(results: StudyResults) -> None:
    values = {**results.spec.to_json(), "longer": {"epochs": [10]}}
    left_out = ("longer-5", "longer-20")
    few = dataclasses.replace(
        results,
        spec=parse_study(values),
        runs={key: run for key, run in results.runs.items() if key[1] not in left_out},
        surfaces={key: one for key, one in results.surfaces.items() if key[1] not in left_out},
    )
    (found,) = (one for one in page(few).sections if one.name == "longer")
    table = next(block for block in found.blocks if isinstance(block, Table))
    assert [row[0] for row in table.rows] == ["3", "10"]
    assert not [cell for row in table.rows for cell in row if isinstance(cell, Cell)]


def test_a_random_direction_has_a_length_of_its_own(
    make_surface: Any, results: StudyResults
) -> None:
    surfaces = {
        key: a_surface(make_surface, bowl(0.25), y={"random": {"seed": 0}})
        for key in results.surfaces
    }
    whole = page(dataclasses.replace(results, surfaces=surfaces))
    assert "δ2 is a random direction" in page_text(Page("", whole.lead, ()))
    for name in ("training-loss", "generalization", "longer"):
        text = section(whole, name)
        assert "β in the length of its random direction" in text
        assert "the trajectory of the checkpoints (least squares)" in text
    widths = section(whole, "widths")
    assert "area below J(θ1) + 0.5 nat (‖δ1‖·‖δ2‖)" in widths
    assert "curvature along β (nat/‖δ2‖²)" in widths
    assert "mean rise at 0.5 axis units (nat)" in widths
    assert "radius below" not in widths
    assert "in parameter space" not in section(whole, "findings")
    assert "not defined" in section(whole, "shown")


def test_two_tasks_point_toward_each_other(make_surface: Any) -> None:
    lead = page_text(Page("", page(build(make_surface)).lead, ()))
    assert "δ2 = θ2 − θ0 at the length of δ1" in lead
    assert "random direction" not in lead


def test_a_circle_of_a_layer_group_that_is_cut_says_so(
    make_surface: Any, results: StudyResults
) -> None:
    small = {"x": [-1.2, 1.2, 25], "y": [-1.2, 1.2, 25]}  # a circle of 1 has β up to 3.5/2.5
    cut = a_layer_surface(make_surface, "low", 0.1, grid=small)
    results = dataclasses.replace(results, layers={("mrpc", "low"): cut})
    text = section(results, "layers")
    assert re.search(r"\(\S+ to \S+\), \d+ % known", text)
    assert "α in ‖δ1ᴳ‖ and β in ‖δ2ᴳ‖" in text


def test_every_value_that_is_not_finite_is_marked_on_a_map(make_surface: Any) -> None:
    def torn(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.where(alpha > 3.9, np.nan, np.where(alpha < -1.9, np.inf, bowl(0.3)(alpha, beta)))

    surface = a_surface(make_surface, torn)
    scale = scale_of("train_loss", [surface])
    figure = figure_of([map_panel("a", "a", surface, "train_loss", scale)])
    (marks,) = (line for line in figure.axes[0].lines if line.get_marker() == "x")
    marked = np.asarray(marks.get_xdata())
    assert sorted(set(marked)) == [-2.0, 4.0]
    assert len(marked) == 50


def test_points_that_are_missing_or_not_finite_are_counted(
    make_surface: Any, results: StudyResults, tmp_path: Path
) -> None:
    def torn(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
        return np.where(alpha > 3.9, np.nan, np.where(alpha < -1.9, np.inf, bowl(0.3)(alpha, beta)))

    partial = a_surface(make_surface, torn, holes=tuple(range(100)))
    curve = a_surface(make_surface, torn, kind="curve")
    results = dataclasses.replace(
        one_of_each(results),
        surfaces={("mrpc", "scratch"): partial},
        curves={("mrpc", "scratch"): curve},
        layers={},
    )
    for name in ("training-loss", "widths"):
        text = section(results, name)
        assert "surface/mrpc/scratch: 525 of 625 points were evaluated" in text
        assert "surface/mrpc/scratch: at 42 evaluated points a number is not finite" in text
    assert "curve/mrpc/scratch: at 2 evaluated points" in section(results, "curves")
    write_report(results, tmp_path / "report.html", numbers=tmp_path / "numbers.json")
    (surface,) = (
        one
        for one in json.loads((tmp_path / "numbers.json").read_text())["surfaces"]
        if one["start"] == "scratch"
    )
    assert surface["train_loss"][10][-1] == "NaN"
    assert surface["train_loss"][10][0] == "Infinity"


def test_widths_that_touch_the_border_are_at_least_so_wide(
    make_surface: Any, results: StudyResults
) -> None:
    flat = a_surface(make_surface, bowl(0.01))
    results = dataclasses.replace(
        results, surfaces={**results.surfaces, ("mrpc", "pretrained"): flat}
    )
    text = section(results, "widths")
    assert re.search(r"≥ 3\d\.\d+ \(3\d\.\d+ or more\)", text)
    assert "at least 6.00" in text
    assert "≥ 3" in section(results, "findings")


def test_a_failed_self_check_stands_above_everything(results: StudyResults) -> None:
    surface = results.surfaces["mrpc", "pretrained"]
    check = surface.self_checks[0]
    wrong = check.model_copy(update={"passed": False, "found": (9.0, *check.found[1:])})
    found = surface.findings.model_copy(update={"self_checks": (wrong,)})
    results = dataclasses.replace(
        results, surfaces={("mrpc", "pretrained"): dataclasses.replace(surface, findings=found)}
    )
    lead = page(results).lead
    (warning,) = (one for one in lead if isinstance(one, Text) and one.tone == "warning")
    assert "surface/mrpc/pretrained: self-check FAILED at pretrained" in warning.text
    assert "FAILED" in section(results, "self-checks")


def test_a_checkpoint_that_the_plane_shows_wrongly_is_marked(results: StudyResults) -> None:
    (found,) = (one for one in page(results).sections if one.name == "shown")
    table = next(block for block in found.blocks if isinstance(block, Table))
    marks = [
        [isinstance(cell, Cell) and cell.tone == "warning" for cell in row] for row in table.rows
    ]
    assert not any(marks[0])  # θ0 and θ1 lie on the plane
    assert not any(marks[-1])
    assert marks[1][2]


def test_an_end_point_off_the_grid_is_said(make_surface: Any, results: StudyResults) -> None:
    away = a_surface(make_surface, bowl(0.3), grid={"x": [-2, 0.5, 9], "y": [-1, 1, 9]})
    results = dataclasses.replace(
        results, surfaces={("mrpc", "pretrained"): away}, curves={}, layers={}
    )
    assert "θ1 is not on the grid" in section(results, "widths")


def test_training_losses_that_are_not_finite(results: StudyResults, tmp_path: Path) -> None:
    run = results.runs["mrpc", "scratch"]
    lost = tuple(dataclasses.replace(e, loss=math.nan, eval_loss=math.inf) for e in run.output.log)
    broken = dataclasses.replace(run, output=dataclasses.replace(run.output, log=lost))
    few = StudyResults(
        results.spec,
        {("mrpc", "pretrained"): results.runs["mrpc", "pretrained"], ("mrpc", "scratch"): broken},
        {}, {}, {}, {},
    )  # fmt: skip
    write_report(few, tmp_path / "report.html")
    assert "a log holds no training loss" in section(few, "findings").lower()


def test_where_the_numbers_come_from_is_told(results: StudyResults) -> None:
    text = section(results, "provenance")
    for words in ("/runs/a/checkpoint-8", "1" * 64, "2" * 64, "64 examples", "fp32", "a CPU"):
        assert words in text
    assert "-2 to 4, 25; -3 to 3, 25" in text
    assert "pretrained: /models/tiny" in text
    assert "finetune/mrpc/longer-20" in text


# ------------------------------------------------------------------------------------ the command


@pytest.fixture
def study(results: StudyResults, tmp_path: Path) -> Path:
    """A folder with one surface and one rollback; all else is missing."""
    surface, rollback = results.surfaces["mrpc", "pretrained"], results.rollbacks["mrpc"]
    files = {"surface/mrpc/pretrained": surface, "rollback/mrpc": rollback}
    steps = {step.key: StepRecord() for step in plan(results.spec)}
    (tmp_path / "study" / "results").mkdir(parents=True)
    for key, found in files.items():
        found.save(tmp_path / "study" / result_name(key, ".h5"))
        steps[key] = StepRecord("completed", "1", "x", result_name(key, ".h5"))
    key = "finetune/mrpc/pretrained"
    run = results.runs["mrpc", "pretrained"]
    members = {name: getattr(run, name) for name in ("eval_loss", "eval_error")}
    members |= {f"{name}_stderr": getattr(run, f"{name}_stderr") for name in members}
    path = tmp_path / "study" / result_name(key, ".json")
    write_json(path, {**members, "output": run.output.to_json()})
    steps[key] = StepRecord("completed", "2", "y", result_name(key, ".json"))
    StudyRecord(results.spec, steps).write(tmp_path / "study")
    return tmp_path / "study"


def test_the_command_writes_what_it_is_asked_for(study: Path, tmp_path: Path, capsys: Any) -> None:
    arguments = ["--figures", str(tmp_path / "figures"), "--json", str(tmp_path / "numbers.json")]
    assert main(["report", str(study), "-o", str(tmp_path / "a.html"), *arguments]) == 0
    assert capsys.readouterr() == (f"{tmp_path / 'a.html'}\n", "")
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Missing here: surface/mrpc/scratch (no result yet)" in html
    assert json.loads((tmp_path / "numbers.json").read_text())["runs"][0]["accuracy"] == 0.85
    assert (tmp_path / "figures" / "rollback-mrpc.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere"),
        ([".", "-o", "/nowhere/report.html"], "expected"),
    ],
)
def test_the_command_refuses_in_one_line(
    study: Path, arguments: list[str], words: str, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(study)
    assert main(["report", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err


# ------------------------------------------------------------------------------ the documentation


def test_the_page_names_every_section_every_option_and_every_finding(results: StudyResults) -> None:
    text = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
    parser = argparse.ArgumentParser(prog="bertscape", add_help=False)
    REPORT.add_arguments(parser)
    options = re.findall(r"(?<!\S)--?[a-z][\w-]*", parser.format_help())
    assert "--json" in options
    titles = [one.title for one in page(results).sections]
    assert [name for name in (*titles, *options) if name not in text and name != "--output"] == []
    findings = [name.replace("-", " ") for name in STATEMENTS]
    short = {"lower layers flatter": "lower layers are flatter"}
    assert [one for one in findings if f"| {short.get(one, one)} |" not in text] == []


def test_a_start_has_its_colour_where_it_stands_alone(results: StudyResults) -> None:
    (found,) = (
        block
        for one in page(
            dataclasses.replace(results, curves=dict([*results.curves.items()][1:]))
        ).sections
        for block in one.blocks
        if isinstance(block, Picture) and block.name == "loss-curves"
    )
    figure = figure_of(found.panels)
    (line,) = (one for one in figure.axes[0].lines if one.get_label() == "from scratch")
    assert line.get_color() == SERIES[1]
