"""`handoff doctor`: whether texts can be spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.diagnosis import speech
from cli.diagnosis.speech import check_speech
from routing.transfer_record import Standard
from tests.cli.findings import only, settings, statuses
from tests.cli.speech import script, write_hum

if TYPE_CHECKING:
    from pathlib import Path


def test_an_engine_that_speaks_is_ok() -> None:
    assert statuses(check_speech(settings())) == {"speech": "ok"}


@pytest.mark.parametrize(
    ("command", "why"), [("no-such-engine {file}", "is not installed"), ("false {file}", "false ended with status 1")]
)
def test_an_engine_that_does_not_speak_is_failed_and_what_is_heard_instead_is_said(command: str, why: str) -> None:
    finding = only(check_speech(settings(speech={"command": command})), "speech")
    assert finding.status == "failed"
    assert why in finding.what
    assert finding.what.endswith(": the fixed message is heard in the place of each text")


def test_an_engine_that_hangs_is_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(speech, "SECONDS", 0.1)
    found = check_speech(settings(speech={"command": script(tmp_path, "sleep 60")}))
    assert "was not done in 0.1 s" in only(found, "speech").what


def test_an_engine_slower_than_the_deadline_is_a_warning(tmp_path: Path) -> None:
    command = script(tmp_path, 'sleep 0.2; espeak-ng -w "$1" hello')
    finding = only(check_speech(settings(speech={"command": command, "deadline": 0.1})), "speech")
    assert finding.status == "warning"
    assert "more than speech.deadline (0.1 s)" in finding.what


def test_without_ffmpeg_there_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "find_program", lambda _: None)
    assert only(check_speech(settings()), "ffmpeg").status == "warning"


def test_standard_sounds_that_are_missing_are_named(tmp_path: Path) -> None:
    given = settings(speech={"folder": str(tmp_path)})
    for name in Standard:
        write_hum(tmp_path / f"{name}.aiff")
    assert only(check_speech(given), "sounds").status == "ok"
    (tmp_path / "goodbye.aiff").unlink()
    (tmp_path / "music.aiff").write_bytes(b"rubbish")
    finding = only(check_speech(given), "sounds")
    assert (finding.status, finding.what) == ("warning", f"missing in {tmp_path}: music, goodbye")
