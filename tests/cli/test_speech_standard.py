"""The standard sounds are always there: in the operator's words, or else as they were installed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cli.speech import standard
from cli.speech.engine import CommandEngine, SpeechError
from cli.speech.sound_file import duration
from cli.speech.standard import StandardSounds, install, is_ready, read_list, texts
from routing.settings import Speech, Transfer
from routing.transfer_record import Standard
from tests.cli.lines import Lines
from tests.cli.speech import ESPEAK, ScriptedEngine, write_hum

ROOT = Path(__file__).parents[2]
SPOKEN = [name for name in Standard if name is not Standard.MUSIC]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sounds").mkdir()
    return tmp_path / "sounds"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sounds as they are installed, each of another length."""
    path = tmp_path / "installed"
    path.mkdir()
    for number, name in enumerate(Standard, start=1):
        write_hum(path / f"{name}.aiff", number / 10)
    monkeypatch.setattr(standard, "INSTALLED", path)
    return path


def make(
    folder: Path, engine: ScriptedEngine, *, patience: float = 10.0, music: str | None = None, **speech: str
) -> Lines:
    lines = Lines()
    StandardSounds(folder, Speech(**speech), Transfer(music=music), engine, lines.add).make(patience)
    return lines


def fail(_text: str, _path: Path) -> None:
    raise SpeechError("it is broken", "mend it")


def test_all_are_made_from_the_settings(folder: Path) -> None:
    engine = ScriptedEngine(lambda text, path: write_hum(path, len(text) / 100))
    assert make(folder, engine, goodbye="Auf Wiederhören.", language="de", voice="v").all == []
    assert ("Auf Wiederhören.", "de", "v") in engine.asked
    assert all(duration(folder / f"{name}.aiff") for name in Standard)
    assert duration(folder / "goodbye.aiff") == pytest.approx(0.16)
    assert is_ready(folder, os.getpid())
    assert not is_ready(folder, 1)


def test_what_is_there_is_not_made_again_but_what_has_changed_is(folder: Path) -> None:
    make(folder, ScriptedEngine())
    again, changed, other = ScriptedEngine(), ScriptedEngine(), ScriptedEngine()
    make(folder, again)
    assert again.asked == []
    make(folder, changed, message="Another one.")
    assert changed.asked == [("Another one.", "en", "")]
    make(folder, other, message="Another one.", voice="en-gb")
    assert len(other.asked) == len(SPOKEN)
    (folder / "apology.aiff").unlink()
    make(folder, changed, message="Another one.", voice="en-gb")
    assert len(changed.asked) == 2


def test_where_the_engine_fails_the_installed_ones_take_their_place_and_the_next_start_tries_again(
    folder: Path, installed: Path
) -> None:
    lines = make(folder, ScriptedEngine(fail))
    assert sorted(lines.all) == sorted(f"speech failed sound={name}: it is broken; mend it" for name in SPOKEN)
    for name in Standard:
        assert (folder / f"{name}.aiff").read_bytes() == (installed / f"{name}.aiff").read_bytes()
    assert is_ready(folder, os.getpid())
    after = ScriptedEngine()
    make(folder, after)
    assert len(after.asked) == len(SPOKEN)


def test_without_installed_ones_what_there_was_stays(folder: Path, installed: Path) -> None:
    make(folder, ScriptedEngine())
    before = (folder / "message.aiff").read_bytes()
    for path in installed.iterdir():
        path.unlink()
    lines = make(folder, ScriptedEngine(fail), message="Another one.")
    assert len(lines.all) == 1
    assert (folder / "message.aiff").read_bytes() == before
    (folder / "music.aiff").unlink()
    make(folder, ScriptedEngine())
    assert duration(folder / "music.aiff") > 20.0


def test_an_engine_that_is_slow_is_not_waited_for_and_its_sounds_come_later(folder: Path, installed: Path) -> None:
    go_on = threading.Event()

    def speak(text: str, path: Path) -> None:
        if text == "Slow.":
            go_on.wait(10.0)
        write_hum(path, 2.0)

    lines = make(folder, ScriptedEngine(speak), message="Slow.", patience=0.3)
    assert lines.all == ["the speech engine is slow: message not made in 0.3 s; it goes on"]
    assert is_ready(folder, os.getpid())
    assert (folder / "message.aiff").read_bytes() == (installed / "message.aiff").read_bytes()
    assert "message" not in read_list(folder)["sounds"]
    go_on.set()
    until = time.monotonic() + 10.0
    while "message" not in read_list(folder)["sounds"]:
        assert time.monotonic() < until
    assert duration(folder / "message.aiff") == 2.0


def test_the_operators_own_music_is_taken_in_and_a_bad_one_is_told(
    folder: Path, tmp_path: Path, installed: Path
) -> None:
    own = write_hum(tmp_path / "own.wav", 3.0, rate=44100, channels=2)
    assert make(folder, ScriptedEngine(), music=str(own)).all == []
    assert duration(folder / "music.aiff") == pytest.approx(3.0, abs=0.01)
    lines = make(folder, ScriptedEngine(), music=str(tmp_path / "none.wav"))
    assert [line.partition(" (")[0] for line in lines.all] == [
        "speech failed sound=music: it is no sound that ffmpeg can read"
    ]
    assert (folder / "music.aiff").read_bytes() == (installed / "music.aiff").read_bytes()


def test_the_standard_prompt_fits_every_key() -> None:
    assert texts(Speech(), Transfer())[Standard.PROMPT] == "Press the agreed key to take the call."


def test_a_list_that_cannot_be_read_is_none(folder: Path) -> None:
    for text in ("", "[1]"):
        (folder / "standard.json").write_text(text)
        assert read_list(folder) == {}
        make(folder, ScriptedEngine())
        assert is_ready(folder, os.getpid())


def test_an_installation_makes_what_is_missing_with_the_real_engine(tmp_path: Path) -> None:
    folder = tmp_path / "share" / "sounds"
    command = [sys.executable, "-m", "cli.speech.standard", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert all(duration(folder / f"{name}.aiff") > 1.0 for name in Standard)
    before = (folder / "music.aiff").stat()
    (folder / "prompt.aiff").write_bytes(b"")
    install(folder, CommandEngine(ESPEAK), Speech(), Transfer())
    assert duration(folder / "prompt.aiff") > 1.0
    assert (folder / "music.aiff").stat() == before


def test_an_installation_without_an_engine_says_why_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.speech.engine.find_program", lambda _: None)
    monkeypatch.setattr("sys.argv", ["standard", str(tmp_path)])
    with pytest.raises(SystemExit, match="sounds cannot be made: the speech engine espeak-ng is not"):
        standard.main()
