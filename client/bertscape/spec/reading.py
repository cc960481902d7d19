"""From a file or plain values to a job spec, with a problem for each wrong key."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bertscape.spec.kinds import KINDS, JobSpec
from bertscape.spec.parts import TAGS, Checkpoint, Visitor
from bertscape.spec.parts.sources import CheckpointAt, PathAt
from bertscape.spec.plain_text import plain_json, plain_yaml
from bertscape.spec.study import STUDY
from bertscape.values import InvalidInput, Problem, ProblemType

AnyJob = TypeVar("AnyJob", bound=JobSpec)
AnyModel = TypeVar("AnyModel", bound=BaseModel)


def parse_spec(value: object) -> JobSpec:
    """Check a spec given as plain values.

    Raises:
        InvalidInput: with one problem for each wrong key under `problem.errors`.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, None, value, "a job spec: a mapping of keys"
        )
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        expected = f"one of {', '.join(KINDS)}"
        if kind == STUDY:
            expected += "; a study is many jobs: bertscape paper runs it"
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "kind", kind, expected)
    return checked(value, KINDS[kind])


def checked(value: Mapping[str, Any], model: type[AnyModel]) -> AnyModel:
    """An object of that model from its plain values.

    Raises:
        InvalidInput: with one problem for each wrong key under `problem.errors`.
    """
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        raise _as_invalid_input(error) from None


def load_spec(path: str | Path) -> JobSpec:
    """Read a spec from a YAML or JSON file; its relative paths are relative to its folder.

    Raises:
        InvalidInput: the file does not exist, is neither YAML nor JSON, or holds a wrong spec.
    """
    file = Path(path)
    return absolute(parse_spec(plain_values(file)), file.resolve().parent)


def plain_values(path: Path) -> object:
    """What a YAML or JSON file holds.

    Raises:
        InvalidInput: the file does not exist, is neither YAML nor JSON, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput.of(
            ProblemType.PATH_NOT_FOUND, None, str(path), "a readable spec file", f"({error})"
        ) from error
    read = plain_json if path.suffix == ".json" else plain_yaml
    return read(text, str(path))


def absolute(spec: AnyJob, base: Path) -> AnyJob:
    """The same spec with every path made absolute against `base`."""

    def place(_: str, path: str) -> str:
        return absolute_path(path, base)

    def checkpoint(key: str, value: Checkpoint) -> Checkpoint:
        return place(key, value) if isinstance(value, str) else value

    return with_sources(spec, checkpoint, place)


def absolute_path(path: str, base: Path) -> str:
    """That path against `base`, with variables of the environment and `~` expanded."""
    # resolve() would follow symbolic links; the service does that itself, to check its roots.
    return str(base / Path(os.path.expandvars(path)).expanduser())


def with_sources(
    spec: AnyJob, checkpoint: CheckpointAt, path: PathAt = lambda _, there: there
) -> AnyJob:
    """The same spec with other sources; the same object, unchecked, if nothing changes.

    Args:
        spec: any job.
        checkpoint: from a checkpoint's key in the spec and the checkpoint to what takes its place.
            For one of a list that may be several.
        path: the same for each data file.

    Raises:
        InvalidInput: what was put there does not do.
    """
    changed = spec.visited(Visitor(checkpoint, path))
    return spec if changed is spec else checked(changed.to_json(), type(spec))


def sources(spec: JobSpec) -> tuple[dict[str, Checkpoint], dict[str, str]]:
    """Every checkpoint and every data file that a spec names, by key."""
    checkpoints: dict[str, Checkpoint] = {}
    paths: dict[str, str] = {}

    def note(key: str, value: Checkpoint) -> Checkpoint:
        checkpoints[key] = value
        return value

    def note_path(key: str, path: str) -> str:
        paths[key] = path
        return path

    spec.visited(Visitor(note, note_path))
    return checkpoints, paths


def _as_invalid_input(error: ValidationError) -> InvalidInput:
    problems = _without_echoes([_as_problem(details) for details in error.errors()])
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return InvalidInput(
        Problem(
            first.type,
            first.detail + more,
            first.key,
            first.value,
            first.expected,
            errors=tuple(problems) if more else (),
        )
    )


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """One problem a key: a union reports one for each of its members."""
    first: dict[str | None, Problem] = {}
    for problem in problems:
        first.setdefault(problem.key, problem)
    return list(first.values())


def _as_problem(details: ErrorDetails) -> Problem:
    context = details.get("ctx", {})
    # pydantic names the union's member in the path; the user never wrote it.
    parts = [str(part) for part in details["loc"] if part not in TAGS]
    key = ".".join([*parts, *([context["key"]] if "key" in context else [])]) or None
    value = context["value"] if "key" in context else details["input"]
    match details["type"]:
        case "extra_forbidden":
            return InvalidInput.of(ProblemType.UNKNOWN_KEY, key, value, "no such key").problem
        case "missing":
            expected, value = "this key to be given", None
        case _:
            expected = _expected(details)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return InvalidInput.of(ProblemType.INVALID_VALUE, key, value, expected).problem


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}


def _expected(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if "expected" in context:
        return str(context["expected"])
    message = details["msg"].removeprefix("Input should be ")
    return _EXPECTED.get(details["type"], message)
