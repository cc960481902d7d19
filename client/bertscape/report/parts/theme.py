"""The colours of a report's pictures: as they are on paper, and their names in the page.

A picture is drawn in the colours of the light theme. In the page each becomes a CSS variable, so
that the same picture follows the reader's theme; `style.css` holds both values.
"""

INK, MUTED, GRID, WARNING = "#1c2126", "#5b6670", "#d9dee3", "#b3261e"
SERIES = ("#0067a6", "#c2500c", "#00795d", "#9b4a7e")  # told apart by the colour-blind too
MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", "-.", ":")

VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    WARNING: "--warning",
    **{color: f"--series-{index}" for index, color in enumerate(SERIES, 1)},
}
