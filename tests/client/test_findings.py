"""Findings: bit-exact through JSON, and differences that name what changed."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bertscape.values import Findings, SelfCheck

numbers = st.tuples(*[st.floats(allow_nan=True, allow_infinity=True)] * 8)


def bits(value: float) -> str:
    return "NaN" if math.isnan(value) else value.hex()


@given(expected=numbers, alpha=st.floats(allow_nan=True))
def test_floats_survive_json_bit_for_bit(expected: Any, alpha: float) -> None:
    check = SelfCheck(
        checkpoint="toward", alpha=alpha, beta=0.0, expected=expected, found=expected, passed=None
    )
    text = json.dumps(check.to_json(), allow_nan=False)
    back = SelfCheck.model_validate_json(text)
    assert [bits(value) for value in back.expected] == [bits(value) for value in expected]
    assert bits(back.alpha) == bits(alpha)
    assert SelfCheck.model_validate(check.to_json()).to_json() == check.to_json()


def test_nan_and_infinity_are_words(make_surface: Any) -> None:
    trajectory = make_surface().findings.to_json()["trajectory"]
    assert trajectory["beta"] == [0.0, 0.2, "NaN"]


def test_equal_findings_have_no_differences(make_surface: Any) -> None:
    findings = make_surface().findings
    back = Findings.model_validate_json(findings.model_dump_json())
    assert list(findings.differences(back)) == []


def test_findings_from_before_layer_groups_are_equal_to_those_of_today(make_surface: Any) -> None:
    findings = make_surface().findings
    values = findings.to_json()
    assert values.pop("group") is None
    assert list(findings.differences(Findings.model_validate(values))) == []


@pytest.mark.parametrize("backwards", [False, True])
def test_differences_name_the_leaf(make_surface: Any, backwards: bool) -> None:
    here = make_surface().findings
    values = here.to_json()
    values["checkpoints"]["finetuned"]["sha256"] = "f" * 64
    values["trajectory"] = None
    values["torch"] = "2.14"
    there = Findings.model_validate(values)
    keys = [
        key for key, _, _ in (there.differences(here) if backwards else here.differences(there))
    ]
    assert keys[0] == "checkpoints.finetuned.sha256"
    assert "torch" in keys
    assert "trajectory.step.0" in keys
    assert "cosine" not in keys
