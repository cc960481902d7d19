"""Self-checks in a few words."""

import pytest

from bertscape.results import summarize


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ([], ""),
        ([True, True, True], "3 of 3 passed"),
        ([True, False], "1 of 2 passed, 1 FAILED"),
        ([False], "0 of 1 passed, 1 FAILED"),
        ([None, None], "2 reported, not judged"),
    ],
)
def test_what_was_judged_is_told_from_what_was_not(verdicts: list[bool | None], words: str) -> None:
    assert summarize([{"passed": one} for one in verdicts]) == words
