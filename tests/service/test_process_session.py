"""Ending a whole process session, and nothing else, with real processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bertscape_service.ray_cluster import process_session
from bertscape_service.ray_cluster.dispatcher_link import clear_leftovers

RECORD = "dispatcher.json"
TREE = """
import subprocess, sys
orphan = "import subprocess; subprocess.Popen(['sleep', '600'])"
subprocess.run([sys.executable, "-c", orphan])
child = subprocess.Popen(["sleep", "600"])
print("up", flush=True)  # only now: whoever begot the orphan has ended
child.wait()
"""


@pytest.fixture
def tree() -> Iterator["subprocess.Popen[str]"]:
    """The leader of a session with a child and an orphan."""
    environment = os.environ | {process_session.TOKEN_VARIABLE: "the token"}
    with subprocess.Popen(
        [sys.executable, "-c", TREE],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    ) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == "up\n"
        yield leader
        process_session.kill_session(leader.pid)


def write_record(folder: Path, **changes: object) -> None:
    record = {"session": 0, "started": 0.0, "token": "the token", "directory": str(folder / "ray")}
    (folder / "ray").mkdir()
    (folder / RECORD).write_text(json.dumps(record | changes))


def pids(session: int) -> set[int]:
    return {member.pid for member in process_session.members(session)}


def test_children_and_orphans_are_killed_with_their_leader(tree: "subprocess.Popen[str]") -> None:
    assert len(pids(tree.pid)) >= 2
    assert process_session.kill_session(tree.pid)
    assert tree.wait() == -9
    assert pids(tree.pid) == set()


def test_one_member_can_be_spared(tree: "subprocess.Popen[str]") -> None:
    process_session.kill_session(tree.pid, spare=tree.pid)
    assert psutil.Process(tree.pid).is_running()


def test_leftovers_are_known_by_their_leader(tree: "subprocess.Popen[str]", tmp_path: Path) -> None:
    started = process_session.started_at(tree.pid)
    write_record(tmp_path, session=tree.pid, started=started, token="none has it")
    clear_leftovers(tmp_path)
    assert pids(tree.pid) == set()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_without_their_leader_are_known_by_their_token(
    tree: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    write_record(tmp_path, session=tree.pid, started=process_session.started_at(tree.pid))
    tree.kill()
    tree.wait()
    assert pids(tree.pid)
    clear_leftovers(tmp_path)
    assert pids(tree.pid) == set()


def test_a_session_of_equal_id_that_is_another_is_left_alone(
    tree: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    before = pids(tree.pid)
    write_record(tmp_path, session=tree.pid, started=1.0, token="another")
    clear_leftovers(tmp_path)
    assert pids(tree.pid) == before
    assert list(tmp_path.iterdir()) == []  # it will never be of use


@pytest.mark.parametrize("text", ["", "{", "[]", '{"session": 1}'])
def test_a_record_that_cannot_be_read_harms_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    clear_leftovers(tmp_path)
