"""What commands write to a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.output import print_table

if TYPE_CHECKING:
    import pytest


def test_on_a_narrow_terminal_ids_stay_whole_so_that_they_can_be_copied(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"COLUMNS": "80", "FORCE_COLOR": "1", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    columns = ["TIME", "TRANSFER", "CALLER", "TARGET", "MODE", "OUTCOME", "STATUS"]
    caller, status = "<sip:caller@127.0.0.1:5090>", "408 Request Timeout"
    print_table(
        columns, [["2026-11-23 02:35:54", "4cb0ad0f404ea85b-1", caller, "support", "blind", "unreachable", status]]
    )
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[1:])) <= 80
    assert len(lines) > 2  # something had to be broken
    assert "4cb0ad0f404ea85b-1" in lines[1]
    assert "unreachable" in lines[1]
