"""What pictures take from matplotlib, or the command that installs it; needs the extra `plot`."""

from bertscape.values import MissingExtra, Problem, ProblemType

try:
    import contourpy  # comes with matplotlib
    from matplotlib import rc_context
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import MaxNLocator
except ImportError as error:
    raise MissingExtra(
        Problem(
            ProblemType.UNAVAILABLE,
            "drawing needs matplotlib: pip install 'bertscape[plot]'",
        )
    ) from error

__all__ = [
    "Axes",
    "Colorbar",
    "Figure",
    "LogNorm",
    "MaxNLocator",
    "Normalize",
    "ScalarMappable",
    "contourpy",
    "rc_context",
    "withStroke",
]
