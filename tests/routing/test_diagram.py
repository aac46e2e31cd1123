"""The state diagram in a page is that of the table, or one is told."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from routing.diagram import BEGIN, END, FAILED, draw, main
from routing.machine import TABLE
from routing.records import State

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"# Title\n\n{BEGIN}\n{END}\n\nThe rest.\n")
    return path


def test_each_two_states_that_the_table_joins_are_joined_in_the_diagram() -> None:
    """Directly, or by the crossroads of failures, which joins no others."""
    edges = re.findall(r"^ {4}(\w+) --> (\w+): .+$", draw(), re.MULTILINE)
    joined = {(str(before), str(after)) for (before, _), rule in TABLE.items() for after in rule.leads}
    joined = {(before, after) for before, after in joined if before != after}
    failing = {before for before, after in edges if after == FAILED}
    around = {(before, after) for before in failing for start, after in edges if start == FAILED and before != after}
    assert len(edges) == len(set(edges))
    assert {edge for edge in edges if FAILED not in edge} | around == joined | around
    assert {after for start, after in edges if start == FAILED} <= {after for before, after in joined}


def test_the_diagram_begins_with_talking_and_ends_with_ended() -> None:
    lines = draw().splitlines()
    assert lines[:3] == ["stateDiagram-v2", "    state failed <<choice>>", f"    [*] --> {State.TALKING}"]
    assert lines[-1] == f"    {State.ENDED} --> [*]"


def test_events_are_named_as_they_are_and_strays_are_left_out() -> None:
    assert "    bridging --> leaving: MediaBridged\n" in draw()
    assert "    leaving --> connected: AgentHungUp<br/>PartyLost<br/>deadline agent_bye\n" in draw()
    assert "stray" not in draw()


def test_the_block_is_rewritten_and_the_rest_is_left_alone(page: Path) -> None:
    assert main([str(page)]) == 0
    assert page.read_text() == f"# Title\n\n{BEGIN}\n\n```mermaid\n{draw()}```\n\n{END}\n\nThe rest.\n"


def test_what_is_up_to_date_passes_the_check_and_is_not_written_again(page: Path) -> None:
    main([str(page)])
    page.chmod(0o444)
    written = page.stat().st_mtime_ns
    assert main(["--check", str(page)]) == 0
    assert main([str(page)]) == 0
    assert page.stat().st_mtime_ns == written


def test_what_is_not_up_to_date_fails_the_check_and_is_left_alone(
    page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = page.read_text()
    assert main(["--check", str(page)]) == 1
    assert capsys.readouterr().err == (
        f"{page}: the state diagram is not that of the table; run `python -m routing.diagram {page}`\n"
    )
    assert page.read_text() == before


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_page_without_its_two_marks_is_refused(page: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    page.write_text(text)
    assert main([str(page)]) == 1
    assert "it must have one line" in capsys.readouterr().err
    assert page.read_text() == text


def test_it_runs_as_a_command(page: Path) -> None:
    command = [sys.executable, "-m", "routing.diagram", str(page)]
    assert subprocess.run([*command, "--check"], check=False, capture_output=True).returncode == 1
    subprocess.run(command, check=True)
    subprocess.run([*command, "--check"], check=True)


def test_a_page_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.md")]) == 1
    assert "none.md: the state diagram cannot be written: " in capsys.readouterr().err
