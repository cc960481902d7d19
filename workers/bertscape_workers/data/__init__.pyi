from .class_names import (
    NO_LABELS as NO_LABELS,
    no_label as no_label,
    say_numbers as say_numbers,
    whole_number as whole_number,
    without_labels as without_labels,
)
from .quoted_fields import quoting_warnings as quoting_warnings
from .rows import (
    Row as Row,
    drawn_rows as drawn_rows,
    further_rows as further_rows,
    read_rows as read_rows,
)
from .samples import SampleExample as SampleExample
from .splits import (
    TokenizedSplit as TokenizedSplit,
    Vocabulary as Vocabulary,
    build_split as build_split,
    load_tokenizer as load_tokenizer,
)
from .statistics import (
    Outcomes as Outcomes,
    error_rate as error_rate,
    mean_loss as mean_loss,
    outcomes_of as outcomes_of,
    point_changes as point_changes,
    point_numbers as point_numbers,
)
from .tokenizer_fit import fitted_split as fitted_split
