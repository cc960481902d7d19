"""The checkpoints of a fine-tuning on the disk: only complete ones, and where a run resumes.

A checkpoint is written in a folder of another name, brought to the disk, and renamed: a folder
`checkpoint-<step>` is complete. The last one alone holds the state of the `Trainer` (optimizer,
learning rate, random numbers), from which an interrupted run resumes. What stays of that when the
run has ended is `trainer_state.json`, the log.
"""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from transformers import TrainerState

from bertscape.values import InvalidInput, ProblemType, brief
from bertscape_workers.admission import HeldElsewhere, sign, take

_LOG = "trainer_state.json"
_STATE = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt")
_PROBE = 16  # MiB that a disk takes which is not full
_WRITING = ".writing-"  # begins the name of what holds a checkpoint that is being written
_LOCK = ".lock"  # in a folder that a live process works in
_NAME = re.compile(r"checkpoint-(\d+)")


class CheckpointNotWritten(OSError):
    """The disk refuses a checkpoint; those before it are whole."""


def trajectory(output: Path) -> tuple[Path, ...]:
    """The `checkpoint-<step>` folders of a `Trainer` output folder, in the order of their steps."""
    steps = {step_of(path): path for path in output.glob("checkpoint-*") if _is_kept(path)}
    return tuple(steps[step] for step in sorted(steps))


def step_of(checkpoint: Path) -> int:
    """The step in a folder's name."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _is_kept(path: Path) -> bool:
    return _NAME.fullmatch(path.name) is not None and path.is_dir()


@contextlib.contextmanager
def held(output: Path) -> Iterator[None]:
    """Keep every other run out of the folder, which is created if it does not exist.

    Raises:
        InvalidInput: another process holds it, which the message names.
    """
    with contextlib.ExitStack() as stack:
        try:
            # What the disk refuses, the first checkpoint says; and not every one has locks.
            with contextlib.suppress(OSError):
                output.mkdir(parents=True, exist_ok=True)
                sign(stack.enter_context(take(output / _LOCK)))
        except HeldElsewhere as error:
            raise InvalidInput.of(
                ProblemType.IN_USE,
                "output",
                str(output),
                "a folder that no other run writes to",
                f"is in use by {error.holder}",
            ) from error
        yield


@contextlib.contextmanager
def writing(output: Path) -> Iterator[Path]:
    """A folder to write a `checkpoint-<step>` in, which is moved to `output` once it is whole.

    An attempt that was given up, its node being out of reach, may be at work yet: each writes in
    a folder of its own, and what the other has finished is as good as ours.

    Raises:
        CheckpointNotWritten: the disk refuses; `output` is as it was.
    """
    place = output / f"{_WRITING}{uuid.uuid4().hex}"
    try:
        place.mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # a file system without locks
                stack.enter_context(take(place / _LOCK))
            yield place
            for folder in place.glob("checkpoint-*"):
                _to_disk(folder)
                _move(folder, output / folder.name)
        _sync(output)
    except Exception as error:  # safetensors, tokenizers and torch each have their own
        raise CheckpointNotWritten(_why(place, error)) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _move(folder: Path, target: Path) -> None:
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def clear_abandoned(output: Path) -> None:
    """Remove what runs that were killed were just writing; what another one holds stays."""
    for place in output.glob(f"{_WRITING}*"):
        with contextlib.suppress(HeldElsewhere, OSError):
            take(place / _LOCK).close()
            shutil.rmtree(place, ignore_errors=True)


def resume_point(output: Path) -> Path | None:
    """The checkpoint that a run resumes from; None: it starts over.

    The one of step 0 holds no state, because nothing has been done then.
    """
    last = next(reversed(trajectory(output)), None)
    return last if last is not None and (last / _LOG).is_file() else None


def read_state(checkpoint: Path) -> TrainerState:
    """How far the run was at a checkpoint, and its log up to there."""
    state: TrainerState = TrainerState.load_from_json(str(checkpoint / _LOG))
    return state


def drop_state_before(checkpoint: Path) -> None:
    """Keep of all earlier checkpoints what a model needs."""
    for earlier in trajectory(checkpoint.parent):
        if step_of(earlier) < step_of(checkpoint):
            _remove(earlier, (*_STATE, _LOG))


def drop_state(output: Path) -> None:
    """The run has ended: keep of its last checkpoint the model and the log."""
    for checkpoint in trajectory(output)[-1:]:
        drop_state_before(checkpoint)
        _remove(checkpoint, _STATE)


def _remove(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def _to_disk(folder: Path) -> None:
    for path in (*sorted(folder.rglob("*")), folder):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(place: Path, error: Exception) -> str:
    """The folder and the disk's message, which torch does not hand on."""
    reason = brief(error)
    refusal = _refusal(place)
    if refusal is not None and refusal not in reason:
        reason += f" ({refusal})"
    return f"a checkpoint cannot be written to {place.parent}: {reason}"


def _refusal(folder: Path) -> str | None:
    """What the disk says to a file of some size, if it says anything."""
    if not folder.is_dir():  # then it is the folder that was refused, in the error's own words
        return None
    try:
        with (folder / "probe").open("wb", buffering=0) as file:
            for _ in range(_PROBE):
                file.write(bytes(1 << 20))
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror
    return None
