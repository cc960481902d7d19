"""A user's shell does not change numbers: what would is forgotten before anything is computed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bertscape_workers.admission.numeric_settings import SETTINGS

# What is computed, and what of the environment is left, in a process of its own.
COMPUTE = f"""
import hashlib, json, logging, os
logging.basicConfig()
from bertscape_workers.checkpoints import set_threads
set_threads(1)
import torch
torch.manual_seed(0)
rows, weights = torch.randn(333, 768), torch.randn(768, 768)
numbers = [rows @ weights, torch.nn.functional.gelu(rows), torch.softmax(rows, -1)]
digest = hashlib.sha256(b"".join(one.numpy().tobytes() for one in numbers)).hexdigest()
left = [name for name in {SETTINGS!r} if name in os.environ]
print(json.dumps([digest, torch.get_float32_matmul_precision(), left]))
"""


def computed(**environment: str) -> tuple[list[object], str]:
    done = subprocess.run(
        [sys.executable, "-c", COMPUTE],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def undisturbed() -> list[object]:
    return computed()[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
        ("MKL_CBWR", "AVX2"),
        ("ATEN_CPU_CAPABILITY", "default"),  # on any CPU it gives other bytes
    ],
)
def test_a_variable_that_changes_numbers_is_forgotten_and_that_is_said(
    undisturbed: list[object], name: str, value: str
) -> None:
    found, said = computed(**{name: value})
    assert found == undisturbed
    assert f"ignoring {name}={value}" in said


def test_the_number_of_threads_of_the_environment_changes_nothing(
    undisturbed: list[object],
) -> None:
    found, said = computed(OMP_NUM_THREADS="2", MKL_NUM_THREADS="2")
    assert (found, said) == (undisturbed, "")


def test_a_precision_that_sitecustomize_has_set_changes_nothing(
    undisturbed: list[object], tmp_path: Path
) -> None:
    code = "import torch; torch.set_float32_matmul_precision('medium')"
    (tmp_path / "sitecustomize.py").write_text(code)
    found, _ = computed(PYTHONPATH=str(tmp_path))
    assert found == undisturbed
    assert found[1] == "highest"
