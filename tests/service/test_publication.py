"""Published surfaces: what the journal holds, under a tag that changes when it does."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import pytest

from bertscape.results import Rollback, read_result, read_surface
from bertscape.spec import parse_spec
from bertscape.values import GroupFound
from bertscape_service.configuration import StateDirectory
from bertscape_service.coordination.publication import Publication
from bertscape_service.journal import AttemptRow, Journal, NewJob, Outcome, RunFacts, TileRow
from bertscape_workers.admission import admit


@pytest.fixture
def journal(state: StateDirectory) -> Iterator[Journal]:
    journal = Journal(state.journal)
    yield journal
    journal.close()


@pytest.fixture
def publication(journal: Journal, state: StateDirectory, inputs: Any) -> Publication:
    spec = admit(parse_spec(inputs.spec()))  # 4 × 3 points
    journal.add_job(NewJob("a", spec, 5, "sha")).result()
    return Publication(journal, state.surfaces)


@pytest.fixture
def add_tile(journal: Journal, find: Callable[..., Any]) -> Callable[[int], None]:
    def add(tile: int) -> None:
        spec = journal.job("a").spec
        if tile == 0:
            journal.pin("a", find(spec), RunFacts(3, 1, {"torch": "2.13"}))
        points = 5 if tile < 2 else 2
        numbers = np.full((points, 8), float(tile))
        numbers[0] = np.nan
        attempt = AttemptRow(tile, 2, "w-1", "a CPU", Outcome.DONE, 10.0, 0.5)
        journal.add_tile("a", TileRow(tile, numbers), attempt).result()

    return add


def files(state: StateDirectory) -> list[str]:
    return sorted(path.name for path in state.surfaces.iterdir())


def test_there_is_nothing_before_the_first_tile(
    publication: Publication, state: StateDirectory
) -> None:
    assert publication.publish("a") is None
    assert publication.publish("no such job") is None
    assert files(state) == []


def test_a_snapshot_has_holes_and_a_computed_nan_is_none(
    publication: Publication, add_tile: Callable[[int], None]
) -> None:
    add_tile(0)
    surface = read_surface(io.BytesIO(publication.publish("a").path.read_bytes()))
    assert surface.evaluated.sum() == 5
    assert np.isnan(surface.train_loss).sum() == 7 + 1
    assert not surface.complete
    assert surface.run.workers == 3
    assert surface.run.versions == {"torch": "2.13"}
    assert [(a.tile, a.attempt, a.outcome) for a in surface.run.attempts] == [(0, 2, "done")]


def test_attempts_at_preparing_are_not_tiles(
    publication: Publication, journal: Journal, add_tile: Callable[[int], None]
) -> None:
    journal.add_attempt("a", AttemptRow(None, 1, "w-1", "", Outcome.FAILED, 1.0, 1.0))
    add_tile(0)
    surface = read_surface(io.BytesIO(publication.publish("a").path.read_bytes()))
    assert [attempt.tile for attempt in surface.run.attempts] == [0]


def test_the_file_is_made_once_and_replaced_when_a_tile_comes(
    publication: Publication, state: StateDirectory, add_tile: Callable[[int], None]
) -> None:
    add_tile(0)
    first = publication.publish("a")
    (name,) = files(state)
    made = (state.surfaces / name).stat().st_mtime_ns
    assert publication.publish("a") == first
    assert (state.surfaces / name).stat().st_mtime_ns == made
    add_tile(1)
    second = publication.publish("a")
    assert second.etag != first.etag
    assert len(files(state)) == 1
    assert files(state) != [name]


def test_the_tag_is_the_same_after_a_restart_and_for_a_file_made_again(
    publication: Publication,
    journal: Journal,
    state: StateDirectory,
    add_tile: Callable[[int], None],
) -> None:
    for tile in range(3):
        add_tile(tile)
    first = publication.publish("a")
    assert Publication(journal, state.surfaces).publish("a") == first
    (state.surfaces / files(state)[0]).unlink()
    assert publication.publish("a") == first


def test_the_file_opens_with_plain_h5py(
    publication: Publication, state: StateDirectory, add_tile: Callable[[int], None]
) -> None:
    for tile in range(3):
        add_tile(tile)
    publication.publish("a")
    with h5py.File(state.surfaces / files(state)[0]) as file:
        assert file["evaluated"][()].all()
        assert file["train_loss"].shape == (3, 4)


def test_what_a_killed_service_left_half_written_is_removed(
    journal: Journal, state: StateDirectory
) -> None:
    (state.surfaces / ".a.3.h5.0123.part").write_bytes(b"half")
    Publication(journal, state.surfaces)
    assert files(state) == []


def test_a_rollback_is_published_like_a_surface(
    journal: Journal, state: StateDirectory, inputs: Any, find: Callable[..., Any]
) -> None:
    plane = inputs.spec()
    value = {"kind": "rollback", "groups": ["all", "pooler"]}
    value |= {key: plane[key] for key in ("model", "data")}
    spec = admit(parse_spec(value))
    journal.add_job(NewJob("a", spec, 2, "sha")).result()
    moved = tuple(GroupFound(layers=None, x_norm=norm, y_norm=None) for norm in (1.5, 0.5))
    journal.pin("a", find(spec, groups=moved), RunFacts(1, 1, {}))
    publication = Publication(journal, state.surfaces)
    assert publication.publish("a") is None
    rows = np.arange(48.0).reshape(3, 16)  # θ1 and two groups
    for tile, numbers in ((1, rows[2:]), (0, rows[:2])):
        attempt = AttemptRow(tile, 1, "w-1", "a CPU", Outcome.DONE, 10.0, 0.5)
        journal.add_tile("a", TileRow(tile, numbers), attempt).result()
        found = read_result(io.BytesIO(publication.publish("a").path.read_bytes()))
        assert isinstance(found, Rollback)
        assert found.complete == (tile == 0)
    assert isinstance(found, Rollback)
    assert found.groups == ("none", "all", "pooler")
    np.testing.assert_array_equal(found.numbers, rows.T)


def test_a_paired_job_is_journalled_beside_one_that_is_not(
    journal: Journal,
    publication: Publication,
    inputs: Any,
    find: Callable[..., Any],
    add_tile: Callable[[int], None],
) -> None:
    add_tile(0)
    paired = admit(parse_spec({**inputs.spec(), "paired": True}))
    journal.add_job(NewJob("b", paired, 5, "sha")).result()
    journal.pin("b", find(paired), RunFacts(1, 1, {}))
    numbers = np.arange(80.0).reshape(5, 16)
    attempt = AttemptRow(0, 1, "w-1", "a CPU", Outcome.DONE, 10.0, 0.5)
    journal.add_tile("b", TileRow(0, numbers), attempt).result()
    plain, found = (
        read_surface(io.BytesIO(publication.publish(job).path.read_bytes())) for job in "ab"
    )
    assert (len(plain.names), len(found.names)) == (8, 16)
    assert found["eval_error_change_stderr"][found.evaluated == 1].tolist() == [
        *numbers[:, 15][np.argsort(paired.tiles(5)[0].points)]
    ]
    assert plain.evaluated.sum() == found.evaluated.sum() == 5


def test_a_lent_file_stays_until_it_is_given_back(
    publication: Publication, state: StateDirectory, add_tile: Callable[[int], None]
) -> None:
    add_tile(0)
    first, again = publication.lend("a"), publication.lend("a")
    assert first is not None
    assert first == again
    content = first.path.read_bytes()
    add_tile(1)
    second = publication.publish("a")
    assert second is not None
    assert second.path != first.path
    publication.give_back(first)
    assert first.path.read_bytes() == content
    publication.give_back(first)
    assert files(state) == [second.path.name]


def test_a_restarted_service_takes_up_the_newest_file_and_removes_the_others(
    publication: Publication,
    journal: Journal,
    state: StateDirectory,
    add_tile: Callable[[int], None],
) -> None:
    add_tile(0)
    first = publication.lend("a")
    assert first is not None
    add_tile(1)
    second = publication.publish("a")
    assert second is not None
    made = second.path.stat().st_mtime_ns
    (state.surfaces / "a.2.h5").write_bytes(b"named as an older version did")
    assert len(files(state)) == 3  # the first is lent, and its service ends here
    assert Publication(journal, state.surfaces).publish("a") == second
    assert files(state) == [second.path.name]
    assert second.path.stat().st_mtime_ns == made
