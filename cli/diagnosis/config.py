"""Check of the configuration: whether the file is still what the running handoff has read."""

from __future__ import annotations

import os

from cli.diagnosis.finding import Finding, failed, warning
from cli.effective import changed_file
from routing.settings import SettingsError, load_settings


def check_changed() -> list[Finding]:
    """Tell of a file changed after the start, and of each mistake in it: with one handoff would not start again."""
    path = changed_file()
    if path is None:
        return []
    try:
        load_settings(path, os.environ)
    except SettingsError as error:
        what = "changed after the start, and handoff would not start with it"
        return [failed(f"config {each.where}", f"{what}: {each.what}", each.mend) for each in error.problems]
    mend = "restart handoff (`systemctl restart handoff`) when there are no calls, or with node.drain"
    return [warning("config file", f"{path} was changed after the start, and is not in use yet", mend)]
