"""The installed Kamailio, as the stub generator sees and starts it."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from typing import TYPE_CHECKING

from tests.ksr_stub import STUB

if TYPE_CHECKING:
    from types import ModuleType

GENERATOR = STUB.parent.parent.parent / "deploy" / "kamailio" / "generate_stubs.py"


def _load() -> ModuleType:
    # A script outside the packages: Kamailio's own folder must not be on our import path.
    spec = importlib.util.spec_from_file_location("generate_stubs", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


generate_stubs = _load()


@cache
def installed_stub() -> str:
    """Generate the stub of the installed Kamailio, once for the whole run."""
    return str(generate_stubs.generate())
