"""The journal: what is acknowledged is there, whatever happens next."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertscape.spec import JobSpec, parse_spec
from bertscape.values import (
    Findings,
    InvalidInput,
    KeptCheckpoint,
    LogEntry,
    Problem,
    ProblemType,
    TrainingOutput,
)
from bertscape_service.journal import AttemptRow, Journal, NewJob, Outcome, RunFacts, TileRow
from bertscape_service.journal.parsing import ParsedTexts
from bertscape_service.journal.schema import UPGRADES
from bertscape_service.journal.writer import JournalUnavailable, JournalWriter
from bertscape_service.scheduling import JobState

SPEC = parse_spec(
    {
        "kind": "curve",
        "model": {"pretrained": "/start", "finetuned": "/end"},
        "grid": {"x": [0, 1, 5]},
        "data": {"train": {"path": "/t.tsv"}, "eval": {"path": "/e.tsv"}, "text": "s"},
    }
)
FINETUNE = {
    "kind": "finetune",
    "model": {"pretrained": "/start"},
    "data": {"train": {"path": "/t.tsv"}, "eval": {"path": "/e.tsv"}, "text": "s"},
}
DONE = AttemptRow(0, 1, "w-1", "a CPU", Outcome.DONE, 10.0, 0.5)


def new_job(job_id: str = "a", key: str | None = None, body: str = "sha", spec: JobSpec = SPEC):
    return NewJob(job_id, spec, 2, body, key)


def tile(index: int, value: float = 0.0, points: int = 2) -> TileRow:
    return TileRow(index, np.full((points, 8), value))


def findings(**changes: object) -> Findings:
    return Findings(
        **{
            "checkpoints": {},
            "splits": {},
            "delta1_norm": 0.1,
            "delta2_norm": None,
            "cosine": None,
            "classes": 2,
            "self_checks": (),
            "trajectory": None,
            "precision": "fp32",
            "device": "a CPU",
            "threads": 1,
            "torch": "2",
            **changes,
        }
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path)
    yield journal
    journal.close()


def test_a_job_is_read_back_as_it_was_submitted(journal: Journal, path: Path) -> None:
    added = journal.add_job(new_job()).result()
    journal.close()
    reopened = Journal(path)
    row = reopened.job("a")
    assert row == added.job
    assert (row.state, row.spec, row.points_total, row.tiles_total) == ("queued", SPEC, 5, 3)
    assert reopened.job("b") is None
    reopened.close()


def test_the_file_is_durable_and_strict(path: Path) -> None:
    writer = JournalWriter(path)
    seen = {
        name: writer.submit(
            lambda connection, name=name: connection.execute(f"PRAGMA {name}").fetchone()[0],
            lasting=False,
        ).result()
        for name in ("journal_mode", "synchronous", "user_version", "foreign_keys")
    }
    writer.close()
    assert seen == {
        "journal_mode": "wal",
        "synchronous": 2,
        "user_version": len(UPGRADES),
        "foreign_keys": 1,
    }
    with sqlite3.connect(path) as other:
        tables = other.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'")
        strict = {name for name, is_strict in tables if is_strict}
    other.close()
    assert strict == {"jobs", "tiles", "attempts", "rates"}


def test_numbers_keep_every_bit(journal: Journal) -> None:
    journal.add_job(new_job())
    numbers = np.zeros((2, 8))
    numbers[0] = [np.nan, np.inf, -np.inf, -0.0, 5e-324, 0.1, 1 / 3, 1.0]
    numbers.view("u8")[1, 0] = 0x7FF8_0000_0000_BEEF  # a NaN that carries a payload
    assert journal.add_tile("a", TileRow(1, numbers), replace(DONE, tile=1)).result()
    results = journal.results("a")
    assert results is not None
    assert results.tiles[0].numbers.tobytes() == numbers.tobytes()


def test_a_tile_and_all_that_goes_with_it_are_one_change(journal: Journal) -> None:
    journal.add_job(new_job()).result()
    wrong = replace(DONE, outcome="not an outcome")
    with pytest.raises(sqlite3.IntegrityError):
        journal.add_tile("a", tile(0), wrong).result()
    results = journal.results("a")
    assert (results.tiles, results.attempts, results.row.tiles_done) == ((), (), 0)
    assert journal.fault is None


def test_a_tile_counts_once(journal: Journal) -> None:
    journal.add_job(new_job())
    assert journal.add_tile("a", tile(0, 1.0), DONE).result()
    assert not journal.add_tile("a", tile(0, 2.0), DONE).result()
    results = journal.results("a")
    assert (results.row.tiles_done, results.row.points_done) == (1, 2)
    assert results.tiles[0].numbers[0, 0] == 1.0
    assert len(results.attempts) == 1


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED])
def test_an_ended_job_stays_as_it_ended(journal: Journal, state: JobState) -> None:
    journal.add_job(new_job())
    problem = Problem(ProblemType.TILE_FAILED, "tile 0 failed")
    assert journal.end_job("a", state, problem).result()
    for later in JobState:
        assert not journal.end_job("a", later).result()
    assert not journal.mark("a", JobState.RUNNING).result()
    assert not journal.add_tile("a", tile(0), DONE).result()
    row = journal.job("a")
    assert (row.state, row.error, row.tiles_done) == (state, problem, 0)


def test_every_change_of_a_surface_is_another_revision(journal: Journal) -> None:
    journal.add_job(new_job())
    revisions = [journal.job("a").revision if journal.settled().result() is None else None]
    for change in (
        lambda: journal.pin("a", findings(), RunFacts(2, 1, {})),
        lambda: journal.add_tile("a", tile(0), DONE),
        lambda: journal.add_attempt("a", replace(DONE, outcome=Outcome.LOST)),
    ):
        change().result()
        revisions.append(journal.job("a").revision)
    assert revisions == sorted(set(revisions))
    journal.mark("a", JobState.RUNNING).result()
    assert journal.job("a").revision == revisions[-1]


def test_pins_are_set_once_and_the_run_every_time(journal: Journal) -> None:
    journal.add_job(new_job())
    journal.pin("a", findings(delta1_norm=float("inf")), RunFacts(2, 1, {"torch": "2"}))
    journal.pin("a", findings(delta1_norm=3.0), RunFacts(4, 1, {"torch": "3"})).result()
    row = journal.job("a")
    assert row.findings == findings(delta1_norm=float("inf"))
    assert row.run == RunFacts(4, 1, {"torch": "3"})


def test_an_idempotency_key_finds_its_job(journal: Journal) -> None:
    first = journal.add_job(new_job("a", "key", "sha")).result()
    again = journal.add_job(new_job("b", "key", "sha")).result()
    other = journal.add_job(new_job("c", "key", "another")).result()
    assert (first.created, again.created, other.created) == (True, False, False)
    assert (again.job.id, again.same_body, other.same_body) == ("a", True, False)
    assert journal.job_of_key("key", "sha") == again
    assert journal.job_of_key("no such key", "sha") is None
    assert [row.id for row in journal.jobs(10)] == ["a"]


def test_pages_stay_apart_while_jobs_come_in(journal: Journal) -> None:
    for job_id in "abcd":
        journal.add_job(new_job(job_id)).result()
    first = journal.jobs(2)
    journal.add_job(new_job("e")).result()
    second = journal.jobs(2, after=first[-1].number)
    assert [row.id for row in first + second] == ["d", "c", "b", "a"]
    assert journal.jobs(2, after=second[-1].number) == ()


def test_an_unfinished_job_knows_what_it_lacks(journal: Journal) -> None:
    for job_id in "ab":
        journal.add_job(new_job(job_id))
    failed = replace(DONE, outcome=Outcome.FAILED, error="broke")
    preparing = replace(failed, tile=None)
    for attempt in (preparing, replace(DONE, tile=None), preparing, preparing, failed, failed):
        journal.add_attempt("a", attempt)
    journal.add_attempt("a", replace(DONE, tile=2, outcome=Outcome.LOST))
    journal.add_attempt("a", replace(failed, tile=1))
    journal.add_tile("a", tile(1), replace(DONE, tile=1))
    journal.end_job("b", JobState.CANCELLED).result()
    (job,) = journal.unfinished()
    assert job.row.id == "a"
    assert job.missing == (0, 2)
    assert job.failed_attempts == {0: 2}
    assert job.prepare_attempts == 2


def test_attempts_at_a_tile_count_from_where_it_last_advanced(journal: Journal) -> None:
    journal.add_job(new_job("a"))
    failed = replace(DONE, outcome=Outcome.FAILED, error="broke")
    other = replace(failed, tile=1)
    for attempt in (failed, other, failed, DONE, failed, other):
        journal.add_attempt("a", attempt)
    journal.settled().result()
    (job,) = journal.unfinished()
    assert job.failed_attempts == {0: 1, 1: 2}


def test_changes_of_many_threads_all_arrive(journal: Journal) -> None:
    journal.add_job(new_job(spec=parse_spec({**SPEC.to_json(), "grid": {"x": [0, 1, 400]}})))

    def add(index: int) -> bool:
        return journal.add_tile("a", tile(index, index), replace(DONE, tile=index)).result()

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(add, range(200)))
    results = journal.results("a")
    assert [row.tile for row in results.tiles] == list(range(200))
    assert all((row.numbers == row.tile).all() for row in results.tiles)
    assert results.row.points_done == 400


class TestFullDisk:
    """SQLite's own limit of pages stands in for the disk's."""

    @pytest.fixture
    def writer(self, path: Path) -> JournalWriter:
        return JournalWriter(path)

    @pytest.fixture
    def journal(self, path: Path, writer: JournalWriter) -> Iterator[Journal]:
        journal = Journal(path, writer)
        yield journal
        journal.close()

    def fill(self, journal: Journal, writer: JournalWriter) -> sqlite3.Connection:
        def limit(connection: sqlite3.Connection) -> sqlite3.Connection:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
            return connection

        connection = writer.submit(limit, lasting=False).result()
        for number in range(100):  # until the pages there are full
            error = journal.add_job(new_job(f"filler {number}")).exception()
            if error is not None:
                assert isinstance(error, JournalUnavailable)
                return connection
        raise AssertionError("the disk is not full")

    def free(self, connection: sqlite3.Connection) -> None:
        # The writer is between two tries: its lock is free, and so is its connection.
        connection.execute("PRAGMA max_page_count = 1000000")

    def test_a_submission_is_refused_and_leaves_nothing(
        self, journal: Journal, writer: JournalWriter
    ) -> None:
        self.fill(journal, writer)
        with pytest.raises(JournalUnavailable, match="full") as refused:
            journal.add_job(new_job("late")).result()
        assert refused.value.problem.type is ProblemType.UNAVAILABLE
        assert journal.job("late") is None
        assert "full" in journal.fault

    def test_what_was_computed_waits_for_the_disk(
        self, journal: Journal, writer: JournalWriter
    ) -> None:
        big = parse_spec({**SPEC.to_json(), "grid": {"x": [0, 1, 2000]}})
        journal.add_job(NewJob("a", big, 1000, "sha")).result()
        connection = self.fill(journal, writer)
        kept = journal.add_tile("a", tile(0, 7.0, points=1000), DONE)
        ended = journal.end_job("a", JobState.COMPLETED)
        refused = journal.add_job(new_job("late"))
        assert isinstance(refused.exception(), JournalUnavailable)
        assert not kept.done()
        self.free(connection)
        assert kept.result(30)
        assert ended.result(30)
        assert journal.fault is None
        row = journal.job("a")
        assert (row.state, row.tiles_done) == (JobState.COMPLETED, 1)

    def test_a_journal_that_closes_gives_up_and_says_so(
        self, journal: Journal, writer: JournalWriter
    ) -> None:
        big = parse_spec({**SPEC.to_json(), "grid": {"x": [0, 1, 2000]}})
        journal.add_job(NewJob("a", big, 1000, "sha")).result()
        self.fill(journal, writer)
        kept = journal.add_tile("a", tile(0, 7.0, points=1000), DONE)
        journal.close()
        assert isinstance(kept.exception(), JournalUnavailable)


def test_one_faulty_change_does_not_harm_those_beside_it(path: Path) -> None:
    writer = JournalWriter(path)
    go = threading.Event()
    writer.submit(lambda _: go.wait(10), lasting=False)  # the next four share a transaction

    def count(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO numbers DEFAULT VALUES")
        return connection.execute("SELECT count(*) FROM numbers").fetchone()[0]

    made = writer.submit(
        lambda connection: connection.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"),
        lasting=True,
    )
    before = writer.submit(count, lasting=False)
    faulty = writer.submit(lambda _: 1 // 0, lasting=True)
    after = writer.submit(count, lasting=True)
    go.set()
    made.result()
    assert (before.result(), after.result()) == (1, 2)
    assert isinstance(faulty.exception(), ZeroDivisionError)
    writer.close()
    assert isinstance(writer.submit(count, lasting=True).exception(), JournalUnavailable)


def test_a_newer_journal_is_refused_and_left_alone(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(InvalidInput, match=r"has version 99; expected .* of version 4 or older"):
        Journal(path)


def test_a_file_that_is_no_journal_is_refused(path: Path) -> None:
    path.write_bytes(b"these are no pages of a database" * 100)
    with pytest.raises(InvalidInput, match=r"--state-dir: .*not a database"):
        Journal(path)


def test_an_upgrade_that_fails_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Journal(path)
    first.add_job(new_job()).result()
    first.close()
    broken = (*UPGRADES, "ALTER TABLE jobs ADD COLUMN note TEXT; SELECT no_such_function();")
    monkeypatch.setattr("bertscape_service.journal.schema.UPGRADES", broken)
    with pytest.raises(JournalUnavailable, match="no_such_function"):
        Journal(path)
    monkeypatch.undo()
    reopened = Journal(path)
    assert reopened.job("a") is not None
    reopened.close()


def test_a_later_upgrade_keeps_the_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Journal(path)
    first.add_job(new_job()).result()
    first.close()
    later = (*UPGRADES, "ALTER TABLE jobs ADD COLUMN note TEXT;")
    monkeypatch.setattr("bertscape_service.journal.schema.UPGRADES", later)
    second = Journal(path)
    assert second.job("a") is not None
    second.close()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT note FROM jobs").fetchone() == (None,)
    other.close()


def test_a_journal_of_version_1_takes_outputs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bertscape_service.journal.schema.UPGRADES", UPGRADES[:1])
    first = Journal(path)  # as an older bertscape left it
    statement = (
        "INSERT INTO jobs (id, state, spec, tile_points, points_total, tiles_total, created,"
        " updated, body_sha256) VALUES ('a', 'running', ?, 2, 5, 3, 1.0, 1.0, 'sha')"
    )
    text = json.dumps(SPEC.to_json())
    first.close()
    with sqlite3.connect(path) as other:
        other.execute(statement, (text,))
    other.close()
    monkeypatch.undo()
    second = Journal(path)
    row = second.job("a")
    assert row is not None
    assert (row.spec, row.output) == (SPEC, None)
    second.close()


def test_a_spec_is_parsed_once_however_often_its_row_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[dict[str, Any]] = []

    def noted(value: dict[str, Any]) -> JobSpec:
        parsed.append(value)
        return parse_spec(value)

    monkeypatch.setattr("bertscape_service.journal.parsing.parse_spec", noted)
    journal = Journal(path)
    for job_id in "abc":
        journal.add_job(new_job(job_id)).result()
    journal.add_job(NewJob("d", parse_spec(FINETUNE), 1, "sha")).result()
    for _ in range(3):
        assert [row.spec.kind for row in journal.jobs(10)] == ["finetune", *["curve"] * 3]
        row = journal.job("a")
        assert row is not None
        assert (row.spec, row.spec_values) == (SPEC, SPEC.to_json())
        journal.unfinished()
    journal.close()
    assert [value["kind"] for value in parsed] == ["curve", "finetune"]


def test_texts_are_kept_as_long_as_there_is_room() -> None:
    parsed: list[str] = []

    def parse(text: str) -> int:
        parsed.append(text)
        return len(text)

    texts = ParsedTexts(parse, characters=10)
    assert [texts("aaaa"), texts("bbbb"), texts("aaaa"), texts("cccc")] == [4] * 4
    assert parsed == ["aaaa", "bbbb", "cccc"]
    assert (texts("aaaa"), parsed[-1]) == (4, "cccc")  # used after b, which had to go
    assert (texts("bbbb"), parsed[-1]) == (4, "bbbb")
    assert texts("d" * 11) == 11  # too long to be kept, and all that was kept goes
    assert (texts("d" * 11), len(parsed)) == (11, 6)


def test_an_output_is_committed_with_its_tile(journal: Journal) -> None:
    spec = parse_spec(FINETUNE)
    journal.add_job(NewJob("a", spec, 4, "sha")).result()
    output = TrainingOutput(
        "/outputs/a",
        (KeptCheckpoint(0, "/outputs/a/checkpoint-0"),),
        ("no", "yes"),
        (LogEntry(0, 0.0, eval_loss=float("inf"), eval_error=0.5),),
    )
    numbers = np.array([[np.inf, 0.5, np.nan, 0.1]])
    assert journal.add_tile("a", TileRow(0, numbers), DONE, output).result()
    results = journal.results("a")
    assert results is not None
    assert results.row.output == output
    np.testing.assert_array_equal(results.tiles[0].numbers, numbers)
    journal.end_job("a", JobState.FAILED).result()
    journal.add_job(NewJob("b", spec, 4, "sha")).result()
    journal.end_job("b", JobState.CANCELLED).result()
    assert not journal.add_tile("b", TileRow(0, numbers), DONE, output).result()
    late = journal.job("b")
    assert late is not None
    assert late.output is None


WRITER = """
import sys
from dataclasses import replace
import numpy as np
from pathlib import Path
from typing import Any
from bertscape.spec import parse_spec
from bertscape_service.journal.journal import Journal
from bertscape_service.journal.rows import AttemptRow, NewJob, Outcome, TileRow
import json

journal = Journal(Path(sys.argv[1]))
journal.add_job(NewJob("a", parse_spec(json.loads(sys.argv[2])), 1, "sha")).result()
waiting = []
for tile in range(100_000):
    attempt = AttemptRow(tile, 1, "w-1", "a CPU", Outcome.DONE, 1.0, 1.0)
    waiting.append(journal.add_tile("a", TileRow(tile, np.full((1, 8), tile / 3)), attempt))
    if tile >= 7:
        waiting.pop(0).result()
        print(tile - 7, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    spec = parse_spec({**SPEC.to_json(), "grid": {"x": [0, 1, 100_000]}})
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), spec.model_dump_json(exclude_none=True)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 50:
            break
    writer.send_signal(signal.SIGKILL)  # while further tiles are being written
    acknowledged = [int(line) for line in writer.stdout if line.endswith("\n")]
    assert writer.wait() == -signal.SIGKILL
    writer.stdout.close()
    journal = Journal(path)
    results = journal.results("a")
    kept = {row.tile: row.numbers for row in results.tiles}
    assert set(range(max(acknowledged, default=50) + 1)) <= set(kept)
    assert all((numbers == index / 3).all() for index, numbers in kept.items())
    assert results.row.tiles_done == len(kept) == len(results.attempts)
    journal.close()
    with sqlite3.connect(path) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()
