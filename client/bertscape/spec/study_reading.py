"""From a file or plain values to a study, with a problem for each wrong key."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bertscape.spec.reading import absolute_path, checked, plain_values
from bertscape.spec.study import STUDY, StudySpec
from bertscape.values import InvalidInput, ProblemType

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def parse_study(value: object) -> StudySpec:
    """Check a study given as plain values.

    Raises:
        InvalidInput: with one problem for each wrong key under `problem.errors`.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput.of(ProblemType.INVALID_VALUE, None, value, "a study: a mapping of keys")
    if value.get("kind") != STUDY:
        expected = f"{STUDY}; bertscape submit takes jobs of other kinds"
        raise InvalidInput.of(ProblemType.INVALID_VALUE, "kind", value.get("kind"), expected)
    return checked(value, StudySpec)


def load_study(path: str | Path, environment: Mapping[str, str] | None = None) -> StudySpec:
    """Read a study from a YAML or JSON file; its relative paths are relative to its folder.

    One that begins with a variable is relative to the working directory: a variable is set in a
    shell, by somebody who is there.

    Args:
        path: of the file.
        environment: gives what stands for `${NAME}` in a path; default: the process's own.

    Raises:
        InvalidInput: the file does not exist, is neither YAML nor JSON, holds a wrong study, or a
            path in it names a variable that is not set.
    """
    variables = os.environ if environment is None else environment
    file = Path(path)

    def place(key: str, text: str) -> str:
        base = Path.cwd() if _VARIABLE.match(text) else file.resolve().parent
        return absolute_path(_expanded(key, text, variables), base)

    return with_paths(parse_study(plain_values(file)), place)


def with_paths(study: StudySpec, place: Callable[[str, str], str]) -> StudySpec:
    """The same study with what `place` gives for the key and the text of each path.

    Raises:
        InvalidInput: what was put there does not do.
    """
    value = study.to_json()
    for key in ("pretrained", "tokenizer"):
        if isinstance(value.get(key), str):
            value[key] = place(key, value[key])
    for name, task in value["tasks"].items():
        for split in ("train", "eval"):
            _place_split(f"tasks.{name}.data.{split}.path", task["data"][split], place)
    return checked(value, StudySpec)


def _place_split(key: str, split: dict[str, Any], place: Callable[[str, str], str]) -> None:
    if "path" in split:
        split["path"] = place(key, split["path"])


def _expanded(key: str, text: str, variables: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not variables.get(name):
            expected = f"the environment variable {name or 'between the braces'} to be set"
            raise InvalidInput.of(ProblemType.INVALID_VALUE, key, text, expected)
        return variables[name]

    return _VARIABLE.sub(value, text)
