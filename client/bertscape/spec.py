"""Job specs: the same object in YAML, JSON and Python, with every check that needs no file.

A spec is read with `load_spec` (a file) or `parse_spec` (a mapping); both raise `InvalidInput`
with a problem for each wrong key. Checks that need the files a spec names (checkpoints, data)
are made where these files are: see `bertscape_workers.admission`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from bertscape.errors import InvalidInput, Problem, ProblemType
from bertscape.grid import DEFAULT_COUNT, DEFAULT_HIGH, DEFAULT_LOW, Axis, Grid
from bertscape.layer_group import ALL, ALL_LAYERS, NAMES, LayerGroup

FINETUNED = "finetuned"  # in {toward: finetuned}: θ1 itself, not a folder of that name
DATA_FORMATS = (".tsv", ".csv", ".jsonl", ".parquet")


class _Model(BaseModel):
    """Unknown keys are refused, values are never coerced from text, objects never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _wrong(expected: str, key: str = "", value: object = None) -> PydanticCustomError:
    """What was expected; a validator of a whole object adds the key below it and its value."""
    context = {"expected": expected, **({"key": key, "value": value} if key else {})}
    return PydanticCustomError("expected", "{expected}", context)


class Hub(_Model):
    """A checkpoint on the hub, by its id."""

    hub: str = Field(min_length=1)
    revision: str | None = None  # a branch, a tag or a commit; the commit found is recorded


def _folder_or_hub(value: object) -> str | None:
    match value:
        case str() if value.strip():
            return _FOLDER
        case Mapping() | Hub():
            return _HUB
    return None


_FOLDER, _HUB = "<folder>", "<hub>"
Checkpoint = Annotated[
    Annotated[str, Tag(_FOLDER)] | Annotated[Hub, Tag(_HUB)],
    Discriminator(
        _folder_or_hub,
        custom_error_type="expected",
        custom_error_message="a folder, or {hub: id, revision: name}",
    ),
]
Checkpoints = Annotated[
    tuple[Checkpoint, ...],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]


class Model(_Model):
    """θ0, θ1 with its head, and the tokenizer."""

    pretrained: Checkpoint  # θ0
    finetuned: Checkpoint  # θ1, and the head
    tokenizer: Checkpoint | None = None  # default: finetuned's, else pretrained's


class Random(_Model):
    """Seed of a Gaussian direction with filter normalization (Li et al. 2018, §4)."""

    seed: int = Field(ge=0, lt=2**63)


class Direction(_Model):
    """Toward a checkpoint, random, or a principal component of a trajectory. Exactly one."""

    toward: Checkpoint | None = None  # "finetuned" is θ1, anything else as in `model`
    random: Random | None = None
    pca: Checkpoints | None = None  # the trajectory, in the order of training
    component: int = Field(default=1, ge=1)  # of pca; 1 is that of the largest variance

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if [self.toward, self.random, self.pca].count(None) != 2:
            raise _wrong(
                "exactly one of {toward: …}, {random: {seed: …}} and {pca: […], component: 1}"
            )
        if self.pca is None and "component" in self.model_fields_set:
            raise _wrong("component with {pca: […]} only", "component", self.component)
        return self

    @model_validator(mode="after")
    def _enough_checkpoints(self) -> Self:
        """Of T checkpoints about their mean there are T − 1 components at most."""
        if self.pca is not None and len(self.pca) <= self.component:
            expected = f"at least {self.component + 1} checkpoints for component {self.component}"
            raise _wrong(expected, "pca", _plain(self.pca))
        return self

    @model_serializer
    def _only_what_is_given(self) -> dict[str, Any]:
        if self.random is not None:
            return {"random": self.random.model_dump()}
        if self.pca is not None:
            return {"pca": _plain(self.pca), "component": self.component}
        return {"toward": self.toward.model_dump() if isinstance(self.toward, Hub) else self.toward}


def _plain(checkpoints: tuple[str | Hub, ...]) -> list[Any]:
    return [
        one.model_dump(exclude_none=True) if isinstance(one, Hub) else one for one in checkpoints
    ]


def _axis(value: object) -> object:
    """Accept `[low, high, count]`, and say what is wrong with it in the words of a user."""
    if isinstance(value, Axis):
        return value
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise _wrong("[low, high, count], as in [-4, 4, 40]")
    low, high, count = value
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)):
        raise _wrong("[low, high, count] with numbers as ends")
    if isinstance(count, bool) or not isinstance(count, int):
        raise _wrong("[low, high, count] with a whole number as count")
    try:
        return Axis(float(low), float(high), count)
    except OverflowError as error:
        raise _wrong("[low, high, count] with finite ends") from error
    except InvalidInput as error:
        raise _wrong(f"[low, high, count] with {error.problem.expected}") from error


AxisRange = Annotated[
    Axis,
    BeforeValidator(_axis),
    WithJsonSchema(
        {"type": "array", "prefixItems": [{"type": "number"}] * 2 + [{"type": "integer"}]}
    ),
]

DEFAULT_AXIS = Axis(DEFAULT_LOW, DEFAULT_HIGH, DEFAULT_COUNT)


class GridRanges(_Model):
    """The two axes; a curve has `x` alone."""

    x: AxisRange = DEFAULT_AXIS
    y: AxisRange | None = None

    @model_serializer
    def _as_lists(self) -> dict[str, Any]:
        axes = {"x": self.x, "y": self.y}
        return {key: [a.low, a.high, a.count] for key, a in axes.items() if a is not None}


class Split(_Model):
    """Where a split comes from: a file, or a `datasets` id. `examples` takes a random sample."""

    path: str | None = None
    dataset: str | None = None
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    examples: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**32)

    @field_validator("path")
    @classmethod
    def _known_format(cls, path: str | None) -> str | None:
        if path is not None and Path(path).suffix.lower() not in DATA_FORMATS:
            raise _wrong(f"a file that ends in one of {', '.join(DATA_FORMATS)}")
        return path

    @model_validator(mode="after")
    def _file_or_dataset(self) -> Self:
        if (self.path is None) == (self.dataset is None):
            raise _wrong("exactly one of {path: …} and {dataset: …, config: …, split: …}")
        if self.path is not None and (self.config or self.split or self.revision):
            raise _wrong("config, split and revision with {dataset: …} only")
        if self.dataset is not None and self.split is None:
            raise _wrong("a split beside the dataset, as in {dataset: nyu-mll/glue, split: train}")
        return self

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: Any) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


def _columns(value: object) -> object:
    return (
        (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    )


class Data(_Model):
    """The two splits, and which columns hold text and label."""

    train: Split
    eval: Split
    text: Annotated[tuple[str, ...], BeforeValidator(_columns)]
    label: str = Field(default="label", min_length=1)
    max_length: int = Field(default=128, ge=2)

    @field_validator("text")
    @classmethod
    def _one_or_two(cls, text: tuple[str, ...]) -> tuple[str, ...]:
        if len(text) not in (1, 2) or not all(text) or len(set(text)) != len(text):
            raise _wrong("one text column, or two different ones")
        return text


def _layer_group(value: Any) -> LayerGroup:
    if isinstance(value, LayerGroup):
        return value
    try:
        return LayerGroup(tuple(value) if isinstance(value, list) else value)
    except InvalidInput as error:
        raise _wrong(error.problem.expected or "") from error


Layers = Annotated[
    LayerGroup,
    BeforeValidator(_layer_group),
    PlainSerializer(LayerGroup.to_json),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(NAMES)},
                {"type": "array", "prefixItems": [{"type": "integer"}] * 2},
            ]
        }
    ),
]


class JobSpec(_Model):
    """One request: which plane, which grid on it, which data."""

    kind: Literal["surface", "curve"]
    name: str | None = Field(default=None, max_length=200)
    model: Model
    x: Direction = Direction(toward=FINETUNED)
    y: Direction | None = None
    origin: Literal["pretrained", "finetuned"] = "pretrained"  # finetuned where layers is not all
    layers: Layers = ALL_LAYERS
    grid: GridRanges = GridRanges()
    data: Data
    trajectory: Checkpoints = ()
    precision: Literal["auto", "fp32"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _default_y_axis(cls, value: Any) -> Any:
        """A surface whose spec names no y axis has the default one, and the spec then says so."""
        if not isinstance(value, dict) or value.get("kind") != "surface":
            return value
        grid = value.get("grid", {})
        if isinstance(grid, GridRanges):
            grid = grid.model_dump()
        if isinstance(grid, dict) and grid.get("y") is None:
            axis = [DEFAULT_AXIS.low, DEFAULT_AXIS.high, DEFAULT_AXIS.count]
            return {**value, "grid": {**grid, "y": axis}}
        return value

    @model_validator(mode="before")
    @classmethod
    def _default_origin(cls, value: Any) -> Any:
        """A layer group moves from θ1 where the spec names no origin, and the spec then says so."""
        if not isinstance(value, dict) or "origin" in value:
            return value
        everything = value.get("layers", ALL) in (ALL, ALL_LAYERS)
        return value if everything else {**value, "origin": FINETUNED}

    @model_validator(mode="after")
    def _fits_the_kind(self) -> Self:
        if self.kind == "surface" and self.y is None:
            raise _wrong("a y direction with kind surface", "y")
        if self.kind == "curve" and self.y is not None:
            raise _wrong("no y direction with kind curve", "y", self.y)
        if self.kind == "curve" and self.grid.y is not None:
            raise _wrong("no y axis with kind curve", "grid.y", self.grid.y)
        if self.y is not None and self.x == self.y:
            raise _wrong("a direction other than x", "y", self.y)
        return self

    @property
    def points(self) -> Grid:
        """The grid that this spec asks for."""
        return Grid(self.grid.x, self.grid.y)

    def to_json(self) -> dict[str, Any]:
        """The spec as plain JSON values; `parse_spec` reads it back as an equal object."""
        return self.model_dump(mode="json", exclude_none=True)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may ask for at most; a service sets its own."""

    points: int = 100_000
    examples: int = 1_000_000  # of one split
    trajectory: int = 1_000  # checkpoints

    def check(self, spec: JobSpec) -> None:
        """Raise `InvalidInput` (limit-exceeded) where the spec asks for more."""
        counts = {
            "grid": (spec.points.size, self.points, "points"),
            "trajectory": (len(spec.trajectory), self.trajectory, "checkpoints"),
            **{
                f"{axis}.pca": (len(direction.pca), self.trajectory, "checkpoints")
                for axis, direction in (("x", spec.x), ("y", spec.y))
                if direction is not None and direction.pca is not None
            },
            "data.train.examples": (spec.data.train.examples or 0, self.examples, "examples"),
            "data.eval.examples": (spec.data.eval.examples or 0, self.examples, "examples"),
        }
        for key, (count, limit, unit) in counts.items():
            if count > limit:
                raise InvalidInput.of(
                    ProblemType.LIMIT_EXCEEDED, key, count, f"at most {limit} {unit}", unit
                )


def parse_spec(value: object) -> JobSpec:
    """Check a spec given as plain values.

    Raises:
        InvalidInput: with one problem for each wrong key under `problem.errors`.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, None, value, "a job spec: a mapping of keys"
        )
    try:
        return JobSpec.model_validate(dict(value))
    except ValidationError as error:
        raise _as_invalid_input(error) from None


def load_spec(path: Path) -> JobSpec:
    """Read a spec from a YAML or JSON file; its relative paths are relative to its folder.

    Raises:
        InvalidInput: the file is not there, is neither YAML nor JSON, or holds a wrong spec.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput.of(
            ProblemType.PATH_NOT_FOUND, None, str(path), "a readable spec file", f"({error})"
        ) from error
    try:
        value = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInput.of(
            ProblemType.INVALID_VALUE, None, str(path), "YAML or JSON", " ".join(str(error).split())
        ) from error
    return absolute(parse_spec(value), path.resolve().parent)


def absolute(spec: JobSpec, base: Path) -> JobSpec:
    """The same spec with every path made absolute against `base`."""

    def place(path: str) -> str:
        # resolve() would follow symbolic links; the service does that itself, to check its roots.
        return str(base / Path(path).expanduser())

    def checkpoint(value: Any) -> Any:
        return place(value) if isinstance(value, str) else value

    value = spec.to_json()
    value["model"] = {key: checkpoint(item) for key, item in value["model"].items()}
    for axis in {"x", "y"} & set(value):
        direction = value[axis]
        if direction.get("toward", FINETUNED) != FINETUNED:
            direction["toward"] = checkpoint(direction["toward"])
        if "pca" in direction:
            direction["pca"] = [checkpoint(item) for item in direction["pca"]]
    for split in ("train", "eval"):
        if "path" in value["data"][split]:
            value["data"][split]["path"] = place(value["data"][split]["path"])
    value["trajectory"] = [checkpoint(item) for item in value["trajectory"]]
    return parse_spec(value)


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
    parts = [str(part) for part in details["loc"] if part not in (_FOLDER, _HUB)]
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
    "tuple_type": "a list",
    "finite_number": "a finite number",
}


def _expected(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if "expected" in context:
        return str(context["expected"])
    message = details["msg"].removeprefix("Input should be ")
    return _EXPECTED.get(details["type"], message)
