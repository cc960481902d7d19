"""What stands in a request's body, before it is a spec."""

import json

import pytest

from bertscape.values import InvalidInput, ProblemType
from bertscape_service.coordination.submission import read_body


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_key_given_twice_is_refused_with_both_places(encoding: str) -> None:
    body = '{"kind": "curve",\n "grid": {}, "grid": {"x": [0, 1, 2]}}'.encode(encoding)
    with pytest.raises(InvalidInput) as caught:
        read_body(body)
    assert caught.value.problem.type is ProblemType.INVALID_VALUE
    assert caught.value.problem.detail == (
        'grid: "the request\'s body" has this key on line 2, column 2 and again on '
        "line 2, column 14; expected it once"
    )


def test_other_bodies_are_read_as_ever() -> None:
    assert read_body(json.dumps({"a": ["{", {"a": 1}, {"a": 2}]}).encode()) == {
        "a": ["{", {"a": 1}, {"a": 2}]
    }
