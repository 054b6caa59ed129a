from __future__ import annotations

import pytest
import torch
from report_clips import LOUDNESS


@pytest.fixture
def loudness() -> torch.Tensor:
    return torch.tensor(LOUDNESS)
