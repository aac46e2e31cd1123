"""Reading files of targets: all problems at once, and nothing is used while there is one."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.target_logins import restored
from routing.problems import Problem
from routing.targets import Target, TargetError
from routing.texts import shown

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

STDIN = Path("-")
SHAPE = 'write a list of targets, or {"targets": [...]}'


def read_targets(
    file: Path, defaults: Mapping[str, Any], existing: Container[str], stored: Mapping[str, Target]
) -> list[Target]:
    """Read the targets of a JSON or TOML file (by its name, .toml is TOML; "-" is JSON from stdin); raises TargetError.

    What an entry does not say is taken from `defaults`; a name in `existing` is a problem. A secret that is not shown
    is that of the target in `stored`.
    """
    found: dict[str, Target] = {}
    problems: list[Problem] = []
    for number, entry in enumerate(_entries(file)):
        where = f"targets[{number}]"
        if not isinstance(entry, dict):
            problems.append(Problem(where, f"{shown(entry)} is not a target", "write it as a table with name = ..."))
            continue
        try:
            target = Target.make({**defaults, **restored(entry, stored)})
        except TargetError as error:
            problems += [Problem(f"{where}.{each.where}", each.what, each.mend) for each in error.problems]
            continue
        if target.name in found:
            problems.append(Problem(f"{where}.name", f"{target.name} is there twice", "keep one of them"))
        elif target.name in existing:
            mend = "give --replace, or leave it out"
            problems.append(Problem(f"{where}.name", f"there is a target {target.name} already", mend))
        found[target.name] = target
    if problems:
        raise TargetError(str(file), problems)
    return list(found.values())


def _entries(file: Path) -> list[Any]:
    data = _parse(file)
    if isinstance(data, dict):
        unknown = sorted(set(data) - {"targets"})
        if unknown:
            raise _unusable(file, f"{shown(unknown[0])} is not known here", SHAPE)
        data = data.get("targets")
    if not isinstance(data, list):
        raise _unusable(file, "it holds no list of targets", SHAPE)
    return data


def _parse(file: Path) -> Any:
    try:
        data = sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise _unusable(file, f"it cannot be read ({error.strerror})", "check its name and its access rights") from None
    except UnicodeDecodeError as error:
        raise _unusable(file, f"byte {error.start + 1} is not UTF-8", "save the file as UTF-8") from None
    is_toml = file.suffix.lower() == ".toml"
    try:
        return tomllib.loads(text) if is_toml else json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "TOML" if is_toml else "JSON"
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _unusable(file, f"it is not {kind} ({why})", "correct it; a file of TOML must be named .toml") from None


def _unusable(file: Path, what: str, mend: str) -> TargetError:
    return TargetError(str(file), [Problem("the file", what, mend)])
