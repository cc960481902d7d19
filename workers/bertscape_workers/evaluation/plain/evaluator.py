"""The reference evaluator: the four numbers and their standard errors at a point of the plane.

It is the plain Hugging Face model. Its backbone's parameters are set in place to

    θ + α·x + β·y

Both splits run through it whole, in batches of equal length, the shortest first: nothing is padded.
Faster evaluators are tested against it.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bertscape.values import ALL_LAYERS, EvaluatorName, LayerGroup, Numbers
from bertscape_workers.checkpoints import (
    Config,
    Format,
    Layout,
    Vector,
    arithmetic,
    attach,
    build_model,
    pick_device,
)
from bertscape_workers.data import Outcomes, TokenizedSplit, outcomes_of, point_numbers
from bertscape_workers.evaluation.plain.batches import (
    end_tokens,
    most_together,
    of_equal_shape,
    restore_attention,
)
from bertscape_workers.evaluation.plain.untaken import untaken


@dataclass(frozen=True)
class EvaluatorInputs:
    """All that evaluating needs: arrays and plain values, which processes share read-only."""

    config: Config  # of θ1's model
    layout: Layout
    origin: Vector  # (layout.size,): θ at α = β = 0
    x: Vector | None  # (layout.size,); None if only backbones are evaluated, and no plane
    y: Vector | None  # (layout.size,); None on a curve
    head: Mapping[str, NDArray[Any]]  # θ1's, by name in the model's state dict; it never moves
    train: TokenizedSplit
    eval: TokenizedSplit
    layers: LayerGroup = ALL_LAYERS  # x and y are zero elsewhere
    precision: Format = "fp32"  # in which to compute; all arrays here are float32
    # What θ1 makes of each example of (train, eval), if each point is compared with it.
    finetuned: tuple[Outcomes, Outcomes] | None = None


class ReferenceEvaluator:
    """Holds one working copy of the model; `evaluate` may be called any number of times.

    A point's value depends only on the point, not on earlier points or on this instance. In bf16
    torch's autocast chooses what is computed in bfloat16: matrix products and attention.
    """

    name: ClassVar[EvaluatorName] = "reference"

    def __init__(self, inputs: EvaluatorInputs, device: str | None = None) -> None:
        self._inputs = inputs
        self._device = torch.device(device or pick_device())
        self._origin = self._tensor(inputs.origin)
        self._x, self._y = (None if d is None else self._tensor(d) for d in (inputs.x, inputs.y))
        # torch aligns its memory to 64 bytes, and the layout keeps each tensor aligned.
        self._flat = torch.zeros(inputs.layout.size, dtype=torch.float32, device=self._device)
        self._model = build_model(inputs.config)
        self._model.to(self._device)  # type: ignore[arg-type]  # its stub is wrong
        attach(self._model, inputs.layout, self._flat, inputs.head)

    def evaluate(self, alpha: float, beta: float) -> NDArray[np.float64]:
        """The numbers at (α, β).

        Args:
            alpha: along x, in units of its length.
            beta: along y; 0 on a curve.

        Returns:
            (8,) float64 in the order of `bertscape.values.NUMBERS`: losses in nats, errors in
            [0, 1]. A loss that is NaN or infinite stays so. If the logits of an example hold a
            NaN, its prediction counts as wrong.
        """
        return point_numbers(*self.outcomes_at(alpha, beta))

    def outcomes_at(self, alpha: float, beta: float) -> tuple[Outcomes, Outcomes]:
        """The outcome of each example of (train, eval) at the point (α, β)."""
        self._flat.copy_(self._origin)
        for direction, factor in ((self._x, alpha), (self._y, beta)):
            if direction is not None:
                self._flat.add_(direction, alpha=factor)
        return self._outcomes()

    def evaluate_backbone(self, backbone: Vector) -> NDArray[np.float64]:
        """The numbers of any backbone, (layout.size,) float32, with θ1's head; as `evaluate`."""
        return point_numbers(*self.outcomes(backbone))

    def outcomes(self, backbone: Vector) -> tuple[Outcomes, Outcomes]:
        """The outcome of each example of (train, eval) with any backbone and θ1's head."""
        self._flat.copy_(self._tensor(backbone))
        return self._outcomes()

    def _tensor(self, vector: Vector) -> torch.Tensor:
        with warnings.catch_warnings():
            # Arrays from the object store are read-only. These are never written to.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.from_numpy(vector).to(self._device)

    def _outcomes(self) -> tuple[Outcomes, Outcomes]:
        inputs, kind = self._inputs, self._device.type
        with (
            arithmetic(inputs.precision),
            torch.autocast(kind, torch.bfloat16, enabled=inputs.precision == "bf16"),
        ):
            return (
                self._split_outcomes("train", inputs.train),
                self._split_outcomes("eval", inputs.eval),
            )

    def _split_outcomes(self, name: str, split: TokenizedSplit) -> Outcomes:
        losses = np.empty(len(split), dtype=np.float64)
        wrong = np.empty(len(split), dtype=np.bool_)
        model_type = str(self._model.config.model_type)
        for examples, batch in self._batches(split):
            told = (
                f"examples of {split.lengths[examples[0]]} tokens in {self._inputs.precision}, as "
                f"data.{name} number {examples[0] + 1}"
            )
            with untaken("model.finetuned", model_type, model_type, told):
                logits = self._logits(batch)
            found = outcomes_of(logits, split.labels[examples])
            losses[examples], wrong[examples] = found.losses, found.wrong
        return Outcomes(losses, wrong)

    def _logits(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        restore_attention(self._model)
        with torch.inference_mode():
            logits: torch.Tensor = self._model(**batch).logits  # (batch, K)
            return logits.to("cpu", torch.float64)

    def _batches(
        self, split: TokenizedSplit
    ) -> Iterator[tuple[NDArray[np.int64], dict[str, torch.Tensor]]]:
        """(places in the file, inputs of the model) of each batch, shortest examples first."""
        starts, order = split.starts, split.by_length
        ends, most = end_tokens(self._model, split), most_together(self._model)
        for examples in of_equal_shape(split.lengths, ends, order, most):
            places = starts[examples][:, None] + np.arange(split.lengths[examples[0]])
            arrays: dict[str, NDArray[Any]] = {
                "input_ids": split.tokens[places],  # (batch, length), and so the others
                "attention_mask": np.ones_like(places),
            }
            if split.token_types is not None:
                arrays["token_type_ids"] = split.token_types[places]
            yield (
                examples,
                {
                    name: torch.from_numpy(values.astype(np.int64)).to(self._device)
                    for name, values in arrays.items()
                },
            )


def as_numbers(values: NDArray[np.float64]) -> Numbers:
    """The (8,) numbers of a point as plain floats."""
    a, b, c, d, e, f, g, h = (float(value) for value in values)
    return (a, b, c, d, e, f, g, h)
