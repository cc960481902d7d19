"""What the tests of the numerics share."""

import pytest
import torch
from tests.workers.tiny_inputs import Inputs, make_inputs

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """BERT with three classes; shared, so never written to."""
    return make_inputs(tmp_path_factory.mktemp("bert"))
