"""What the tests of the settings share."""

from __future__ import annotations

from typing import Any

import pytest

from routing.settings import Settings, SettingsError, make_settings

AGENTS = [{"uri": "sip:agent@127.0.0.1:5070"}]
POOL = {"name": "agents", "numbers": ["*"], "agents": AGENTS}
URL = "redis://:hunter2@127.0.0.1:6379"


def made(**sections: Any) -> Settings:
    """Make settings with one pool."""
    return make_settings({"pools": [POOL], **sections})


def problems(**sections: Any) -> list[str]:
    """List what is wrong with such settings."""
    with pytest.raises(SettingsError) as refused:
        made(**sections)
    return [str(problem) for problem in refused.value.problems]
