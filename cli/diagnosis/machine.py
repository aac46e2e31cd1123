"""Checks of this machine: the programs that handoff starts, their versions and modules, and its limits."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cli.daemons import find_program
from cli.diagnosis.finding import Finding, failed, ok, warning
from cli.paths import DEPLOY
from cli.preflight import INSTALL, PYTHON_HOME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.settings import Settings

PROGRAM_DEADLINE = 5.0
"""Seconds that a program has to tell its version."""
FILES_WANTED = 8192
"""File descriptors that one daemon should be allowed: rtpengine takes eight or so for each call."""
LOAD_MODULE = re.compile(r'^\s*loadmodule\s+"([^"]+)"', re.MULTILINE)
MODULE_FOLDERS = re.compile(r"paths to modules: (\S+)")


def check_programs(settings: Settings | None) -> list[Finding]:
    """Check the programs; those that the settings do without are only looked for when there are no settings."""
    own_redis = settings is None or settings.redis.url is None
    own_rtpengine = settings is None or not settings.rtpengine.nodes
    found = [*check_kamailio(), _check_python()]
    if own_rtpengine:
        found.append(check_version("rtpengine", ("rtpengine", "--version"), r"ersion: (\d+)\.(\d+)", (10, 5)))
    if own_redis:
        found.append(check_version("redis-server", ("redis-server", "--version"), r"v=(\d+)\.(\d+)", (6, 2)))
    return found


def check_kamailio() -> list[Finding]:
    """Check Kamailio's version, and that it has all modules that our configuration loads."""
    version = check_version("kamailio", ("kamailio", "-v"), r"version: kamailio (\d+)\.(\d+)", (5, 6))
    if find_program("kamailio") is None:
        return [version]
    return [version, _check_modules()]


def check_version(part: str, command: Sequence[str], pattern: str, least: tuple[int, int]) -> Finding:
    """Check that a program is there and new enough; `pattern` finds major and minor number in what it says."""
    said = run_program(command)
    if said is None:
        return failed(part, f"{command[0]} is not installed, or does not start", INSTALL)
    version = re.search(pattern, said)
    if version is None:
        return warning(part, "it does not tell its version", f"see what `{' '.join(command)}` says")
    number = f"{version[1]}.{version[2]}"
    if (int(version[1]), int(version[2])) < least:
        return failed(part, f"version {number} is too old", f"install {least[0]}.{least[1]} or newer")
    return ok(part, f"version {number}")


def _check_modules() -> Finding:
    part = "kamailio modules"
    try:
        wanted = LOAD_MODULE.findall((DEPLOY / "kamailio" / "modules.cfg").read_text(encoding="utf-8"))
    except OSError as error:
        return failed(part, f"{error.filename} cannot be read ({error.strerror})", "install handoff again")
    said = MODULE_FOLDERS.search(run_program(("kamailio", "-I")) or "")
    if said is None:
        return warning(part, "kamailio does not say where its modules are", "see what `kamailio -I` says")
    folders = [Path(folder) for folder in said[1].split(":")]
    missing = [name for name in wanted if not any((folder / name).exists() for folder in folders)]
    if missing:
        return failed(part, f"not found in {said[1]}: {', '.join(missing)}", INSTALL)
    return ok(part, f"all {len(wanted)} are there")


def _check_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.base_prefix != PYTHON_HOME:
        what = f"Python {version} of {sys.base_prefix} runs this, but Kamailio embeds /usr/bin/python3"
        return warning("python", what, f"make .venv with /usr/bin/python3: {INSTALL}")
    return ok("python", f"version {version}, the one that Kamailio embeds")


def run_program(command: Sequence[str]) -> str | None:
    """Run a program and give what it says; None when it is not there, fails to start, or does not end."""
    path = find_program(command[0])
    if path is None:
        return None
    try:
        done = subprocess.run([path, *command[1:]], capture_output=True, timeout=PROGRAM_DEADLINE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout + done.stderr).decode(errors="replace")


def check_descriptors(pid: int | None) -> Finding:
    """Check how many files a daemon may open: the running one with this pid, or one that we would start."""
    part = "file descriptors"
    limit = _limit_of(pid) if pid else None
    whose = f"the running Kamailio (process {pid})" if limit else "a daemon started from here"
    limit = limit or resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= limit < FILES_WANTED:
        mend = f"start it after `ulimit -n {FILES_WANTED * 8}`, or set LimitNOFILE={FILES_WANTED * 8} in systemd"
        return warning(part, f"{whose} may open {limit} files, which is enough for {limit // 10} calls or so", mend)
    return ok(part, f"{whose} may open {limit if limit >= 0 else 'any number of'} files")


def _limit_of(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/limits").read_text()
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None  # it runs on another machine, or belongs to somebody else
    found = re.search(r"^Max open files\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found and name == "kamailio" else None
