from __future__ import annotations

import subprocess
import sys
from dataclasses import is_dataclass

import pytest

from wan_core.checkpoints.kinds import PART_KINDS, part_classes


@pytest.mark.parametrize("kind", PART_KINDS)
def test_every_kind_leads_to_a_configuration_and_a_maker(kind: str) -> None:
    config_class, make = part_classes(kind, "here")
    assert is_dataclass(config_class) and callable(make)


def test_the_list_imports_no_model() -> None:
    code = (
        "import sys, wan_core.checkpoints.kinds;"
        "parts = {m.split('.')[1] for m in sys.modules if m.startswith('wan_core.')};"
        "print(sorted(parts - {'checkpoints', 'errors'}))"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
