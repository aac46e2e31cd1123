"""Reading handoff.toml: all problems at once, each with its place and the mend."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from routing.problems import InvalidInputError, Problem, explain
from routing.settings_conflicts import find_conflicts
from routing.settings_model import (
    Agent,
    Log,
    Media,
    Metrics,
    Node,
    Policy,
    Pool,
    Redis,
    Rtpengine,
    Settings,
    Sip,
    Speech,
    Tls,
    Trace,
    Transfer,
    Trunk,
    Users,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Agent",
    "Log",
    "Media",
    "Metrics",
    "Node",
    "Policy",
    "Pool",
    "Problem",
    "Redis",
    "Rtpengine",
    "Settings",
    "SettingsError",
    "Sip",
    "Speech",
    "Tls",
    "Trace",
    "Transfer",
    "Trunk",
    "Users",
    "load_settings",
    "make_settings",
]

DEFAULT_PATH = "handoff.toml"
POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
TOML_MENDS = {
    "Cannot overwrite": "a key or table is there twice: keep one of them",
    "Cannot declare": "a table is there twice: keep one of them",
    "Invalid value": 'put text in double quotes, as in name = "value"',
    "Expected newline": "write one setting on each line, and put text in double quotes",
    "Expected '=' after a key": "write key = value, and put keys with other signs than A-Z a-z 0-9 _ - in quotes",
}


class SettingsError(InvalidInputError):
    """The settings cannot be used; `problems` has everything that is wrong with them."""


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the settings from a TOML file; raises SettingsError.

    Without a path the file is what HANDOFF_CONFIG names, or handoff.toml in the current folder. HANDOFF_REDIS_URL
    wins over redis.url, so that a password need not be in the file.
    """
    source = path or Path(environ.get("HANDOFF_CONFIG") or DEFAULT_PATH)
    data = _read(source)
    redis = data.setdefault("redis", {})
    if isinstance(redis, dict) and environ.get("HANDOFF_REDIS_URL"):
        redis["url"] = environ["HANDOFF_REDIS_URL"]
    return make_settings(data, str(source))


def make_settings(data: Mapping[str, Any], source: str = "the configuration") -> Settings:
    """Make settings from the data of a TOML file; raises SettingsError, which names the source."""
    conflicts = find_conflicts(data)
    try:
        settings = Settings.model_validate(data)
    except ValidationError as error:
        raise SettingsError(source, [*explain(error, Settings, secrets=("redis", "security")), *conflicts]) from None
    if conflicts:
        raise SettingsError(source, conflicts)
    return settings


def _read(source: Path) -> dict[str, Any]:
    try:
        text = source.read_bytes().decode()
    except FileNotFoundError:
        mend = "give the file by --config or HANDOFF_CONFIG; deploy/handoff.toml is an example"
        raise SettingsError(str(source), [Problem(str(source), "there is no such file", mend)]) from None
    except OSError as error:
        problem = Problem(str(source), f"it cannot be read ({error.strerror})", "check its type and its access rights")
        raise SettingsError(str(source), [problem]) from None
    except UnicodeDecodeError as error:
        problem = Problem(str(source), f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8")
        raise SettingsError(str(source), [problem]) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(str(source), [_syntax_problem(source, text, str(error))]) from None


def _syntax_problem(source: Path, text: str, message: str) -> Problem:
    """Say where the file is no TOML; the line itself is not shown, since it may hold a password."""
    found = POSITION.search(message)
    lines = text.splitlines() or [""]
    line, column = (found and found[1]) or len(lines), (found and found[2]) or len(lines[-1]) + 1
    mend = next((mend for start, mend in TOML_MENDS.items() if message.startswith(start)), "see https://toml.io")
    return Problem(f"{source}:{line}:{column}", POSITION.sub("", message), mend)
