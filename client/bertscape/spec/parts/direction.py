"""The directions of a plane."""

from typing import Any, Self

from pydantic import Field, model_serializer, model_validator

from bertscape.spec.parts.base import Values, wrong
from bertscape.spec.parts.checkpoint import Checkpoint, Checkpoints, JobOutput, plain


class Random(Values):
    """Seed of a Gaussian direction with filter normalization (Li et al. 2018, §4)."""

    seed: int = Field(ge=0, lt=2**63)


class Direction(Values):
    """Toward a checkpoint, random, or a principal component of a trajectory. Exactly one."""

    toward: Checkpoint | None = None  # "finetuned" is θ1, anything else as in `model`
    random: Random | None = None
    pca: Checkpoints | None = None  # the trajectory, in the order of training
    component: int = Field(default=1, ge=1)  # of pca; 1 is that of the largest variance

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if [self.toward, self.random, self.pca].count(None) != 2:
            raise wrong(
                "exactly one of {toward: …}, {random: {seed: …}} and {pca: […], component: 1}"
            )
        if self.pca is None and "component" in self.model_fields_set:
            raise wrong("component only with {pca: […]}", "component", self.component)
        return self

    @model_validator(mode="after")
    def _enough_checkpoints(self) -> Self:
        """Of T checkpoints about their mean there are T − 1 components at most."""
        if self.pca is None or any(isinstance(one, JobOutput) for one in self.pca):
            return self  # how many there are is known once the job's output stands in its place
        if len(self.pca) <= self.component:
            expected = f"at least {self.component + 1} checkpoints for component {self.component}"
            raise wrong(expected, "pca", [plain(one) for one in self.pca])
        return self

    @model_serializer
    def _only_what_is_given(self) -> dict[str, Any]:
        if self.random is not None:
            return {"random": self.random.model_dump()}
        if self.pca is not None:
            return {"pca": [plain(one) for one in self.pca], "component": self.component}
        return {"toward": None if self.toward is None else plain(self.toward)}
