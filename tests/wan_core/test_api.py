"""What `import wan_core` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import wan_core


def test_public_names_are_lazy_and_complete() -> None:
    assert set(dir(wan_core)) == set(wan_core.__all__)
    assert all(callable(getattr(wan_core, name)) for name in wan_core.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_nose'"):
        _ = wan_core.load_nose


def test_importing_the_package_loads_nothing() -> None:
    code = (
        "import sys, wan_core; print([m for m in ('torch', 'numpy', 'wan_core.errors') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
