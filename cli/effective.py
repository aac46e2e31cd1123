"""The settings that a command works with, and the Redis of the instance that it is meant for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from cli.output import Exit, Failed
from cli.paths import settings_file
from routing.problems import Problem
from routing.settings import DEFAULT_PATH, Settings, SettingsError, load_settings, make_settings
from routing.store import open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routing.store import Store

START = "start handoff (`systemctl start handoff`, or `handoff up`)"
"""What the mend begins with of what is bad only because, or as if, handoff did not run."""
BEGIN = (
    f"copy the example (cp deploy/handoff.toml {DEFAULT_PATH}), write your agents into [[pools]], "
    "and start `handoff up`; or give --config FILE"
)
"""What to do where there is neither a configuration nor a running handoff."""
PATIENCE = 1.0
"""Seconds that a command waits for Redis at least: people have more time than a SIP worker."""


def effective_settings(config: str | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the file given, or the settings of the handoff that runs on this machine, or the usual file.

    Where the file names no Redis, rtpengine or folder of sounds, those of the running handoff are meant. Raises
    SettingsError, and Failed when there is nothing to read.
    """
    running = running_settings(environ)
    if config is None:
        if running is not None:
            return running
        if nothing_to_read(environ):
            text = f"no handoff runs on this machine ({name_missing(environ)}), and there is no {DEFAULT_PATH} here"
            raise Failed(f"{text}: {BEGIN}", Exit.USAGE)
    settings = load_settings(Path(config) if config is not None else None, environ)
    return _completed(settings, running) if running is not None else settings


def running_settings(environ: Mapping[str, str] = os.environ) -> Settings | None:
    """Read the effective settings of the handoff that runs on this machine; None when none does."""
    path = settings_file(environ)
    try:
        owner, text = path.stat().st_uid, path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        mend = "run this as the user that handoff runs as, or as root"
        raise SettingsError(str(path), [Problem(str(path), f"it cannot be read ({error.strerror})", mend)]) from None
    except ValueError:
        raise _spoilt(path) from None
    if os.getuid() and owner not in {0, os.getuid()}:
        # Anyone may make files in /tmp, and this one says where to connect to.
        problem = Problem(str(path), "it belongs to another user", "set HANDOFF_RUN_DIR, or remove it")
        raise SettingsError(str(path), [problem])
    try:
        data = json.loads(text)
    except ValueError:
        raise _spoilt(path) from None
    if not isinstance(data, dict):
        raise _spoilt(path)
    return make_settings(data, str(path))


def changed_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the file of HANDOFF_CONFIG if it was changed after the running handoff had read it."""
    if not (named := environ.get("HANDOFF_CONFIG")):
        return None  # a file in this folder may be anybody's
    try:
        return Path(named) if Path(named).stat().st_mtime > settings_file(environ).stat().st_mtime else None
    except OSError:
        return None  # nothing runs, or the file is gone: others tell


def nothing_to_read(environ: Mapping[str, str]) -> bool:
    """Say whether no file is named and there is no usual one; in a folder that is closed to us there is none."""
    return not environ.get("HANDOFF_CONFIG") and not os.path.exists(DEFAULT_PATH)  # noqa: PTH110 - Path.exists raises


def name_missing(environ: Mapping[str, str]) -> str:
    """Say which file would tell of a running handoff, and to whom else one may belong."""
    told = environ.get("HANDOFF_RUN_DIR") or not os.getuid()
    elsewhere = "" if told else "; one that root runs is found with sudo, or with HANDOFF_RUN_DIR"
    return f"there is no {settings_file(environ)}{elsewhere}"


def connect(settings: Settings) -> Store:
    """Open the store of these settings; raises Failed when they name no Redis, or none that can be used."""
    if settings.redis.url is None:
        text = "no Redis is known: the configuration has no redis.url, and no handoff runs on this machine"
        raise Failed(f"{text} ({name_missing(os.environ)}): {START}", Exit.REDIS_AWAY)
    try:
        return open_store(settings.redis.url, deadline=max(settings.redis.deadline, PATIENCE))
    except (ValueError, OSError) as error:
        raise Failed(f"redis.url cannot be used: {error}", Exit.USAGE) from error


def _completed(settings: Settings, running: Settings) -> Settings:
    data = settings.model_dump(mode="json")
    data["redis"]["url"] = settings.redis.url or running.redis.url
    data["rtpengine"]["nodes"] = settings.rtpengine.nodes or running.rtpengine.nodes
    data["rtpengine"]["dtmf_listen"] = settings.rtpengine.dtmf_listen or running.rtpengine.dtmf_listen
    data["trace"]["listen"] = settings.trace.listen or running.trace.listen
    data["speech"]["folder"] = settings.speech.folder or running.speech.folder
    return make_settings(data)


def _spoilt(path: Path) -> SettingsError:
    mend = "remove it and start `handoff up` again"
    return SettingsError(str(path), [Problem(str(path), "it is not what `handoff up` writes", mend)])
