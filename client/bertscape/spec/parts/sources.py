"""What a spec reads: one walk over its checkpoints and files, by their keys."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bertscape.spec.parts.base import Values
from bertscape.spec.parts.checkpoint import FINETUNED, Checkpoint
from bertscape.spec.parts.data import Data
from bertscape.spec.parts.direction import Direction

CheckpointAt = Callable[[str, Checkpoint], Checkpoint | tuple[Checkpoint, ...]]
PathAt = Callable[[str, str], str]
Part = TypeVar("Part", bound=Values)


@dataclass(frozen=True, slots=True)
class Visitor:
    """What to put in place of each source; the same object leaves all as it is.

    Attributes:
        checkpoint: from a checkpoint's key in the spec and the checkpoint to another one. Of a
            list of checkpoints it may give several, which then stand in place of the one.
        path: the same for each data file.
    """

    checkpoint: CheckpointAt
    path: PathAt

    def model(self, model: Part) -> Part:
        """Over θ0, θ1 and the tokenizer, as far as they are named."""
        named = {name: getattr(model, name) for name in type(model).model_fields}
        return _changed(
            model,
            {
                name: self._one(f"model.{name}", found)
                for name, found in named.items()
                if found is not None
            },
        )

    def direction(self, axis: str, direction: Direction) -> Direction:
        """Over the checkpoints of one direction; `{toward: finetuned}` names none."""
        if direction.pca is not None:
            return _changed(direction, {"pca": self.several(f"{axis}.pca", direction.pca)})
        if direction.toward is None or direction.toward == FINETUNED:
            return direction
        return _changed(direction, {"toward": self._one(f"{axis}.toward", direction.toward)})

    def data(self, data: Data) -> Data:
        """Over the files of both splits."""
        places = {}
        for name, split in (("train", data.train), ("eval", data.eval)):
            if split.path is not None:
                path = self.path(f"data.{name}.path", split.path)
                same = path == split.path
                places[name] = split if same else split.model_copy(update={"path": path})
        return _changed(data, places)

    def several(self, key: str, found: tuple[Checkpoint, ...]) -> tuple[Checkpoint, ...]:
        """Over a list of checkpoints."""
        return tuple(
            one for place, item in enumerate(found) for one in self._listed(key, place, item)
        )

    def _listed(self, key: str, place: int, found: Checkpoint) -> Iterator[Checkpoint]:
        given = self.checkpoint(f"{key}[{place}]", found)
        yield from given if isinstance(given, tuple) else (given,)

    def _one(self, key: str, found: Checkpoint) -> Checkpoint:
        given = self.checkpoint(key, found)
        if isinstance(given, tuple):
            raise TypeError(f"{key}: {len(given)} checkpoints instead of one")
        return given


def _changed(part: Part, values: Mapping[str, object]) -> Part:
    """The same object if nothing is new in it."""
    new = {name: one for name, one in values.items() if one != getattr(part, name)}
    return part.model_copy(update=new) if new else part
