"""Draws the state diagram from the table, into a page: `python -m routing.diagram [--check] routing/README.md`."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from routing.machine import TABLE
from routing.records import Deadline, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.machine import Row

BEGIN = "<!-- state diagram -->"
END = "<!-- /state diagram -->"
UPDATE = "python -m routing.diagram"


FAILED = "failed"
"""A crossroads: where a failure leads depends on the transfer, not on the state in which it failed."""
_AFTER_FAILURE = {
    State.CALLING: "next endpoint, or fallback",
    State.REFERRING: "next endpoint, or fallback, by REFER",
    State.ANNOUNCING: "fallback with announcement",
    State.APOLOGISING: "apology, or agent gone",
    State.TALKING: "the agent again",
}


def draw() -> str:
    """Make a Mermaid stateDiagram-v2: an edge for each two states, labelled with all events that lead along it.

    What stays in its state is left out, and so are the stray rows, which never lead anywhere. Rules that may lead both
    back to the agent and to an apology are failures, and lead to one crossroads.
    """
    edges: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (before, row), rule in TABLE.items():
        fails = {State.TALKING, State.APOLOGISING} <= set(rule.leads)
        for after in rule.leads:
            edge = before, FAILED if fails and after in _AFTER_FAILURE else after
            if after is not before and _label(row) not in edges[edge]:
                edges[edge].append(_label(row))
    lines = [
        f"{before} --> {after}: {'<br/>'.join(edges[before, after])}"
        for before in State
        for after in (*State, FAILED)
        if edges.get((before, after))
    ]
    lines += [f"{FAILED} --> {after}: {why}" for after, why in _AFTER_FAILURE.items()]
    lines = [f"state {FAILED} <<choice>>", f"[*] --> {State.TALKING}", *lines, f"{State.ENDED} --> [*]"]
    return "stateDiagram-v2\n" + "".join(f"    {line}\n" for line in lines)


def _label(row: Row) -> str:
    if isinstance(row, Deadline):
        return f"deadline {row}"
    return row if isinstance(row, str) else row.__name__


def replace(text: str) -> str:
    """Put the diagram between the two marks of a page; raises ValueError when it has not got them once each."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before + after:
        raise ValueError(f"it must have one line `{BEGIN}` and after it one line `{END}`; put them where it belongs")
    return f"{before}{BEGIN}\n\n```mermaid\n{draw()}```\n\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring the diagram of a page up to date, or with `--check` only tell whether it is: 0 if so, else 1."""
    parser = argparse.ArgumentParser(prog=UPDATE, description=main.__doc__)
    parser.add_argument("page", type=Path, help="the Markdown file that the diagram is in")
    parser.add_argument("--check", action="store_true", help="change nothing")
    options = parser.parse_args(arguments)
    page: Path = options.page
    try:
        found = page.read_text(encoding="utf-8")
        wanted = replace(found)
    except (OSError, ValueError) as error:
        print(f"{page}: the state diagram cannot be written: {error}", file=sys.stderr)
        return 1
    if found == wanted:
        return 0
    if options.check:
        print(f"{page}: the state diagram is not that of the table; run `{UPDATE} {page}`", file=sys.stderr)
        return 1
    page.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":  # pragma: no cover - the tests run it in a process of its own
    sys.exit(main())
