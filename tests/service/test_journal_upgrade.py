"""Journals that earlier versions wrote, opened by the present code and read whole."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bertscape.values import (
    Findings,
    KeptCheckpoint,
    LogEntry,
    Problem,
    ProblemType,
    TrainingFindings,
    TrainingOutput,
)
from bertscape_service.journal import (
    AttemptRow,
    EstimatedWork,
    Journal,
    NewJob,
    Outcome,
    RateKey,
    RunFacts,
    TileRow,
)
from bertscape_service.journal.schema import UPGRADES

FROZEN = Path(__file__).parent / "journals"
VERSIONS = (1, 2, 3)
ODD = np.array([0.5, 0.25, 0.6, np.nan, 0.1, 0.1, 0.1, np.inf])
LOST = AttemptRow(1, 1, "w-1", "a CPU", Outcome.LOST, 10.0, 0.5, "its node died")
BROKE = AttemptRow(2, 1, "w-1", "a CPU", Outcome.FAILED, 10.0, 0.5, "it broke")


def done(tile: int | None) -> AttemptRow:
    return AttemptRow(tile, 1, "w-1", "a CPU", Outcome.DONE, 10.0, 0.5)


def numbers(tile: int, points: int) -> np.ndarray:
    expected = np.arange(points * 8.0).reshape(points, 8) + 100 * tile
    expected[0] = ODD
    return expected


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def path(version: int, tmp_path: Path) -> Path:
    copied = shutil.copy(FROZEN / f"version-{version}.sqlite3", tmp_path / "journal.sqlite3")
    return Path(copied)


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    yield journal
    journal.close()


def test_there_is_a_file_of_every_earlier_version() -> None:
    assert [*VERSIONS, VERSIONS[-1] + 1] == list(range(1, len(UPGRADES) + 1))
    for version in VERSIONS:
        frozen = sqlite3.connect(f"file:{FROZEN / f'version-{version}.sqlite3'}?mode=ro", uri=True)
        assert frozen.execute("PRAGMA user_version").fetchone() == (version,)
        frozen.close()


def test_every_job_is_there_as_it_was(journal: Journal, version: int) -> None:
    trained = [("trained", "finetune", "completed")] if version > 1 else []
    rows = journal.jobs(10)
    assert [(row.id, row.spec.kind, row.state.value) for row in rows] == [
        *trained,
        ("failed", "curve", "failed"),
        ("cancelled", "curve", "cancelled"),
        ("unfinished", "curve", "running"),
        ("finished", "curve", "completed"),
    ]
    failed = journal.job("failed")
    assert failed is not None
    assert failed.error == Problem(ProblemType.TILE_FAILED, "tile 0 failed")
    found = journal.job_of_key("a key", "sha")
    assert found is not None
    assert (found.job.id, found.same_body) == ("finished", True)


def test_a_finished_job_keeps_every_number_and_attempt(journal: Journal) -> None:
    results = journal.results("finished")
    assert results is not None
    row = results.row
    assert (row.tiles_done, row.tiles_total, row.points_done, row.points_total) == (3, 3, 5, 5)
    assert isinstance(row.findings, Findings)
    assert row.findings.delta1_norm == float("inf")
    assert np.array_equal(row.findings.self_checks[0].found, ODD, equal_nan=True)
    assert row.run == RunFacts(2, 1, {"torch": "2"})
    assert results.attempts == (done(None), done(0), done(1), done(2))
    for tile, points in enumerate((2, 2, 1)):
        assert results.tiles[tile].tile == tile
        assert results.tiles[tile].numbers.tobytes() == numbers(tile, points).tobytes()


def test_an_unfinished_job_goes_on_where_it_was(journal: Journal) -> None:
    (job,) = journal.unfinished()
    assert (job.row.id, job.missing, job.failed_attempts) == ("unfinished", (0, 2), {2: 1})
    assert job.prepare_attempts == 0
    results = journal.results("unfinished")
    assert results is not None
    assert results.attempts == (done(None), LOST, BROKE, done(1))
    assert journal.add_tile("unfinished", TileRow(0, numbers(0, 2)), done(0)).result()
    after = journal.results("unfinished")
    assert after is not None
    assert [tile.tile for tile in after.tiles] == [0, 1]
    assert after.row.tiles_done == 2


@pytest.mark.parametrize("version", [2, 3], indirect=True)
def test_a_finetuning_keeps_its_output(journal: Journal) -> None:
    results = journal.results("trained")
    assert results is not None
    row = results.row
    assert isinstance(row.findings, TrainingFindings)
    assert row.findings.labels == ("no", "yes")
    assert row.output == TrainingOutput(
        "/outputs/trained",
        (KeptCheckpoint(0, "/outputs/trained/checkpoint-0"),),
        ("no", "yes"),
        (LogEntry(0, 0.0, eval_loss=float("inf"), eval_error=0.5),),
    )
    expected = np.array([[np.inf, 0.5, np.nan, 0.1]])
    assert np.array_equal(results.tiles[0].numbers, expected, equal_nan=True)


def test_nothing_is_known_of_how_long_its_jobs_took(journal: Journal) -> None:
    assert {(row.estimate, row.taken) for row in journal.jobs(10)} == {(None, None)}
    assert journal.rates(RateKey("a CPU", 1, "fp32", "bert 4 × 8"), "points", 10) == ()
    # An unfinished job goes on, and then it is.
    estimate = EstimatedWork(2.5, "bert 4 × 8", 10.0, 0.0, 3.0, 5)
    journal.keep_estimate("unfinished", estimate).result()
    journal.measure("unfinished", 4.0, None, ()).result()
    row = journal.job("unfinished")
    assert row is not None
    assert (row.estimate, row.taken) == (estimate, 4.0)


def test_the_tables_are_those_of_a_new_journal(
    journal: Journal, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "new").mkdir()
    Journal(tmp_path / "new" / "journal.sqlite3").close()
    assert columns(path) == columns(tmp_path / "new" / "journal.sqlite3")
    assert columns(path)["tiles"] == ["job", "tile", "numbers"]
    found = journal.job("finished")
    assert found is not None
    added = journal.add_job(NewJob("later", found.spec, 2, "sha")).result()
    assert added.job.number > found.number


def columns(path: Path) -> dict[str, list[str]]:
    connection = sqlite3.connect(path)
    found = {
        table: [
            name for (name,) in connection.execute(f"SELECT name FROM pragma_table_info('{table}')")
        ]
        for table in ("jobs", "tiles", "attempts", "rates")
    }
    connection.close()
    return found
