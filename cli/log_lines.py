"""The log of the stack as JSON, an object a line, for programs that collect logs."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

_HEAD = re.compile(r"\d+\((?P<pid>\d+)\) (?P<level>[A-Z]+): (?:\{(?P<sip_call_id>[^}]*)\} )?(?P<rest>.*)", re.DOTALL)
"""Of Kamailio's lines: process, level, and the Call-ID of the message at hand."""
_LEVEL = re.compile(r"(?:\[[\d.]+\] )?(?P<level>DEBUG|INFO|NOTICE|WARNING|ERR|ERROR|CRIT): (?P<rest>.*)", re.DOTALL)
"""Of rtpengine's."""
_PAIR = re.compile(r"""(?<!\S)([a-z_]+)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s'"]\S*)(?!\S)""")
_LEVELS = {"err": "error", "crit": "critical", "notice": "info"}


def json_line(at: float, program: str, line: str) -> str:
    """Write a line of the log: its time, program and level, its key=value pairs, and its words as `message`."""
    data: dict[str, str] = {
        "time": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
        "program": program,
    }
    if found := _HEAD.fullmatch(line) or _LEVEL.fullmatch(line):
        parts = found.groupdict()
        line = parts.pop("rest")
        parts["level"] = _LEVELS.get(parts["level"].lower(), parts["level"].lower())
        data |= {name: value for name, value in parts.items() if value and value != "<null>"}
    for name, value in _PAIR.findall(line):
        data.setdefault(name, value[1:-1] if value[0] in "'\"" else value)
    if words := " ".join(_PAIR.sub("", line).split()):
        data["message"] = words
    return json.dumps(data)
