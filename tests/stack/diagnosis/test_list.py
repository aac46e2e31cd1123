"""The list of the real transfers by which each rule of the diagnosis, and each outcome, is shown."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from routing.faults import Fault
from routing.outcomes import Outcome
from tests.stack.diagnosis.shown import LISTED

if TYPE_CHECKING:
    from collections.abc import Iterator

NEVER = {Outcome.INTERNAL}
"""No transfer ends so: the word is for a transfer of which no outcome is known, in metrics and on the screen."""


def shown() -> Iterator[tuple[str, Fault, Outcome]]:
    """List all: the test, which rule it shows, and how its transfer ended."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for name, test in vars(importlib.import_module(f"{__package__}.{path.stem}")).items():
            for mark in getattr(test, "pytestmark", ()):
                if name.startswith("test_") and mark.args[0][-2:] == LISTED:
                    for *_, fault, outcome in mark.args[1]:
                        yield f"{path.stem}.{name}", fault, outcome


def test_each_rule_is_shown_by_a_real_transfer() -> None:
    missing = set(Fault) - {fault for _, fault, _ in shown()}
    assert not missing, f"no transfer shows {', '.join(missing)}: add one to tests/stack/diagnosis"


def test_each_outcome_is_shown_by_a_real_transfer() -> None:
    assert {outcome for _, _, outcome in shown()} == set(Outcome) - NEVER
