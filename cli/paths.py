"""Where a running handoff keeps its files on this machine, so that its commands find it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS = "settings.json"
"""The effective settings of the running instance, redis.url and rtpengine.nodes filled in."""
METRICS = "metrics"
"""The folder of the workers' metrics, see PROMETHEUS_MULTIPROC_DIR."""
SOUNDS = "sounds"
"""The folder of sounds within the state dir, see speech.folder."""
DRAINING = "draining"
"""The file that tells Kamailio's workers to take no new calls; see kemi/drain.py."""
REDIS_SOCKET = "redis.sock"
"""The unix socket of a Redis that handoff started itself."""

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
"""The files that Kamailio is started with."""


def run_dir(environ: Mapping[str, str]) -> Path:
    """Name the folder of the running instance: HANDOFF_RUN_DIR, or the usual one for this user."""
    if given := environ.get("HANDOFF_RUN_DIR"):
        return Path(given)
    if os.getuid() == 0:
        return Path("/run/handoff")
    if runtime := environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime, "handoff")
    return Path(f"/tmp/handoff-{os.getuid()}")  # noqa: S108 - it is made by `up` with mode 700


def settings_file(environ: Mapping[str, str]) -> Path:
    """Name the file with the effective settings of the running instance."""
    return Path(environ.get("HANDOFF_SETTINGS") or run_dir(environ) / SETTINGS)
