"""The splits of a job."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, field_validator, model_serializer, model_validator

from bertscape.spec.parts.base import Values, wrong

DATA_FORMATS = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".parquet")
_COMPRESSED = ".gz"  # after any of them; a Parquet file compresses its own columns


def data_format(path: str | Path) -> str:
    """Which of `DATA_FORMATS` a file's name says it is, compressed or not; else empty.

    >>> data_format("train.TSV.gz")
    '.tsv'
    """
    name = Path(path).name.lower()
    suffix = Path(name.removesuffix(_COMPRESSED)).suffix
    if suffix not in DATA_FORMATS or (suffix == ".parquet" and name.endswith(_COMPRESSED)):
        return ""
    return suffix


class Split(Values):
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
        if path is not None and not data_format(path):
            formats = ", ".join(DATA_FORMATS)
            raise wrong(f"a file that ends in one of {formats}; {_COMPRESSED} may follow a text")
        return path

    @model_validator(mode="after")
    def _file_or_dataset(self) -> Self:
        if (self.path is None) == (self.dataset is None):
            raise wrong("exactly one of {path: …} and {dataset: …, config: …, split: …}")
        if self.path is not None and (self.config or self.split or self.revision):
            raise wrong("config, split and revision only with {dataset: …}")
        if self.dataset is not None and self.split is None:
            raise wrong("a split of the dataset, as in {dataset: nyu-mll/glue, split: train}")
        return self

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: Any) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


def _columns(value: object) -> object:
    return (
        (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    )


class Data(Values):
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
            raise wrong("one text column, or two different ones")
        return text
