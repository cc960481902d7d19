"""A study of one task, and of two."""

from typing import Any

import pytest
from tests.client.report.bowl_study import build

from bertscape.study import StudyResults


@pytest.fixture
def results(make_surface: Any) -> StudyResults:
    """Of one task, in which every finding of the paper holds."""
    return build(make_surface, ("mrpc",))
