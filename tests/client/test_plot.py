"""What the pictures hold; how they look is for eyes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from bertscape import InvalidInput
from bertscape.figures import plot_side_by_side, plot_surface, save_figure
from bertscape.figures.color_scale import error_scale, loss_scale


def texts(figure: Any) -> str:
    """Everything written in a figure."""
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text) if text.get_text())


def panels(figure: Any) -> list[Any]:
    """Its panels, without colour bars."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def lines(axes: Any, label: str) -> list[Any]:
    return [line for line in axes.lines if line.get_label() == label]


def test_a_surface_has_a_panel_for_each_value(make_surface: Any) -> None:
    figure = plot_surface(make_surface())
    figure.draw_without_rendering()
    left, right = panels(figure)
    assert left.get_title() == "training loss (nat)"
    assert right.get_title() == "generalization error (1 − accuracy)"
    assert left.get_xlabel() == "α  (δ1 = θ1 − θ0)"
    assert left.get_ylabel().startswith("β")
    assert (left.get_xlim(), left.get_ylim()) == ((-1, 2), (-1, 1))
    written = texts(figure)
    assert "bowl" in written
    assert "64 train, 32 eval examples" in written
    assert "cos(δ1, δ2) = 0.123" in written
    assert "θ1" in written
    assert "½ ln 2 = 0.347" in written
    assert "FAILED" not in written
    assert "snapshot" not in written


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [r"$\frac{1}$", "$5 and $6", "損失", "a_b^c", "{}"])
def test_a_name_is_drawn_as_it_is_written(make_surface: Any, tmp_path: Path, name: str) -> None:
    surface = make_surface()
    named = dataclasses.replace(surface, spec=surface.spec.model_copy(update={"name": name}))
    for figure in (plot_surface(named, ["train_loss"]), plot_side_by_side({name: named})):
        save_figure(figure, tmp_path / "a.png")
        assert name in texts(figure)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ("high", "layers 4–5"),
        ([2, 3], "layer 2"),
        ("embeddings", "the embeddings"),
        ("pooler", "the pooler"),
    ],
)
def test_a_layer_group_is_named_with_its_origin(make_surface: Any, layers: Any, words: str) -> None:
    figure = plot_surface(make_surface(layers=layers))
    axes = panels(figure)[0]
    assert axes.get_xlabel() == f"α  (δ1 = θ1 − θ0, in {words}, from θ1)"
    assert axes.get_ylabel() == f"β  (δ2, toward θ2, in {words}, from θ1)"
    assert f"\nmoving: {words} alone, from θ1" in figure.get_suptitle()
    random = {"y": {"random": {"seed": 0}}, "origin": "pretrained"}
    side = plot_side_by_side({"a": make_surface(layers=layers, **random)})
    assert panels(side)[0].get_ylabel() == f"β  (δ2, a random direction, in {words}, from θ0)"
    component = {"y": {"pca": ["/a", "/b", "/c"], "component": 2}, "origin": "pretrained"}
    side = plot_side_by_side({"a": make_surface(layers=layers, **component)})
    what = "δ2, a principal component, number 2"
    assert panels(side)[0].get_ylabel() == f"β  ({what}, in {words}, from θ0)"


def test_a_surface_of_all_layers_from_theta1_says_so(make_surface: Any) -> None:
    figure = plot_surface(make_surface("curve", origin="finetuned"))
    assert panels(figure)[-1].get_xlabel() == "α  (δ1 = θ1 − θ0, from θ1)"
    assert "moving" not in figure.get_suptitle()


def test_the_trajectory_is_the_papers_where_it_is_defined(make_surface: Any) -> None:
    surface = make_surface()  # its last β is NaN
    (line,) = lines(panels(plot_surface(surface))[0], "trajectory (least squares)")
    np.testing.assert_array_equal(line.get_xdata(), surface.trajectory.alpha_lsq)
    defined = surface.trajectory.model_copy(update={"beta": (0.0, 0.2, 0.0)})
    findings = surface.findings.model_copy(update={"trajectory": defined})
    surface = dataclasses.replace(surface, findings=findings)
    (line,) = lines(panels(plot_surface(surface))[0], "trajectory")
    np.testing.assert_array_equal(line.get_ydata(), [0.0, 0.2, 0.0])


def test_on_a_random_direction_the_papers_projection_has_no_place(make_surface: Any) -> None:
    surface = make_surface(y={"random": {"seed": 0}})
    defined = surface.trajectory.model_copy(update={"beta": (0.0, 0.2, 0.0)})
    findings = surface.findings.model_copy(update={"trajectory": defined})
    surface = dataclasses.replace(surface, findings=findings)
    (line,) = lines(panels(plot_surface(surface))[0], "trajectory (least squares)")
    np.testing.assert_array_equal(line.get_ydata(), surface.trajectory.beta_lsq)


def test_a_snapshot_says_how_much_there_is(make_surface: Any) -> None:
    surface = make_surface(holes=tuple(range(7, 35)))
    figure = plot_surface(surface)
    figure.draw_without_rendering()
    assert "snapshot: 20 % of points" in texts(figure)
    (cells,) = panels(figure)[0].collections
    assert np.ma.getmaskarray(cells.get_array()).reshape(5, 7).sum() == 28
    assert panels(figure)[0].patch.get_hatch()


@pytest.mark.parametrize("kind", ["surface", "curve"])
def test_a_failed_self_check_is_written_in_red(make_surface: Any, kind: str) -> None:
    figure = plot_surface(make_surface(kind, passed=False))
    text = figure.get_supxlabel()
    assert "self-check FAILED at finetuned (α = 1, β = 0)" in text
    from matplotlib.text import Text

    (drawn,) = figure.findobj(lambda one: isinstance(one, Text) and one.get_text() == text)
    assert isinstance(drawn, Text)
    assert drawn.get_color() == "#c00000"


def test_a_curve_has_bands_and_marks(make_surface: Any) -> None:
    surface = make_surface("curve")
    surface.numbers[0, 2] = np.nan
    figure = plot_surface(surface)
    figure.draw_without_rendering()
    top, bottom = panels(figure)
    assert (top.get_ylabel(), bottom.get_xlabel()) == ("training loss (nat)", "α  (δ1 = θ1 − θ0)")
    assert len(top.collections) == 1  # the band
    (missing,) = lines(top, "no finite value")
    assert list(missing.get_xdata()) == [surface.alpha[2]]
    assert "θ1" in texts(figure)


def test_side_by_side_shares_one_scale(make_surface: Any) -> None:
    low, high = make_surface(), make_surface(loss=lambda a, b: 0 * a + 40.0)
    figure = plot_side_by_side({"pre-trained": low, "from scratch": high})
    figure.draw_without_rendering()
    left, right = panels(figure)
    assert left.get_title().startswith("pre-trained\nbasin width: ")
    assert right.get_title() == "from scratch\nbasin width: none"
    assert len(figure.axes) == 3  # one colour bar
    limits = {axes.collections[0].get_clim() for axes in (left, right)}
    assert limits == {(low.train_loss.min(), 40.0)}


def test_values_that_no_scale_holds(make_surface: Any) -> None:
    surface = make_surface()
    surface.numbers[0].flat[:4] = [np.inf, np.nan, 1e300, 0.0]
    plot_surface(surface).draw_without_rendering()
    surface.numbers[:] = np.nan
    figure = plot_surface(surface)
    figure.draw_without_rendering()
    assert "no finite value" in texts(figure)


def test_constant_values(make_surface: Any) -> None:
    surface = make_surface(loss=lambda a, b: 0 * a)
    plot_surface(surface, ("train_loss", "train_error")).draw_without_rendering()


def test_wrong_values_are_refused(make_surface: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'loss'; expected one of train_loss"):
        plot_surface(make_surface(), ("loss",))
    with pytest.raises(InvalidInput, match="at least one value"):
        plot_surface(make_surface(), ())
    with pytest.raises(InvalidInput, match="surfaces of kind surface"):
        plot_side_by_side({"a": make_surface("curve")})
    with pytest.raises(InvalidInput, match=r"\.png, \.svg or \.pdf"):
        save_figure(plot_surface(make_surface()), tmp_path / "a.jpeg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_formats(make_surface: Any, tmp_path: Path, ending: str, start: bytes) -> None:
    save_figure(plot_surface(make_surface()), tmp_path / f"a.{ending}")
    assert (tmp_path / f"a.{ending}").read_bytes().startswith(start)


values = st.lists(
    st.floats(0, 1e30) | st.sampled_from([np.nan, np.inf]), min_size=1, max_size=30
).map(np.array)


@given(losses=values)
def test_loss_scales_are_increasing_and_bounded(losses: np.ndarray) -> None:
    scale = loss_scale(losses)
    assert (np.diff(scale.levels) > 0).all()
    assert scale.levels[0] >= 1e-3
    assert len(scale.lines) <= 9
    assert ((scale.lines > 0) & (np.diff(scale.lines, prepend=0) > 0)).all()


@given(errors=st.lists(st.floats(0, 1) | st.just(np.nan), min_size=1).map(np.array))
def test_error_scales_hold_all_errors(errors: np.ndarray) -> None:
    scale = error_scale(errors)
    finite = errors[np.isfinite(errors)]
    assert (np.diff(scale.levels) > 0).all()
    assert len(scale.levels) <= 30
    assert not finite.size or scale.levels[0] <= finite.min() + 1e-9
    assert not finite.size or finite.max() <= scale.levels[-1] + 1e-9
