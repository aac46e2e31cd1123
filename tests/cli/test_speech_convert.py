"""Ready-made sound files are taken in as files that rtpengine plays at once, or refused with a reason."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.speech import sound_file
from cli.speech.convert import BadSound, convert
from tests.cli.speech import write_hum

if TYPE_CHECKING:
    from pathlib import Path


def refused(source: Path, folder: Path) -> str:
    with pytest.raises(BadSound) as error:
        convert(source, folder)
    assert error.value.mend
    assert not folder.exists() or not list(folder.iterdir())
    return error.value.text


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "ogg", "mp3", "au"])
def test_any_usual_sound_file_becomes_one_that_rtpengine_plays_at_once(tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"welcome.{kind}"
    hum = write_hum(tmp_path / "hum.wav", 1.0, rate=44100, channels=2)
    subprocess.run(["ffmpeg", "-v", "error", "-i", hum, source], check=True)
    made = convert(source, tmp_path / "sounds")
    assert sound_file.duration(made) == pytest.approx(1.0, abs=0.1)


def test_the_name_is_made_of_name_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    source = write_hum(tmp_path / "- Guten Tag, Köln!.wav")
    first = convert(source, folder)
    assert first.parent == folder
    assert first.name.startswith("Guten-Tag-K-ln-")
    assert convert(source, folder) == first
    write_hum(source, 0.7)
    assert convert(source, folder) != first
    assert len(list(folder.iterdir())) == 2


def test_a_file_that_is_given_twice_is_converted_once(tmp_path: Path) -> None:
    source = write_hum(tmp_path / "a.wav")
    made = convert(source, tmp_path / "sounds")
    before = made.stat()
    assert convert(source, tmp_path / "sounds").stat() == before


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    assert refused(tmp_path / "none.wav", folder) == "there is no such file"
    assert refused(tmp_path, folder) == "it is no file"
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe", folder) == "it is no file"


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("hello")
    assert refused(tmp_path / "text.wav", tmp_path / "sounds").startswith("it is no sound that ffmpeg can read")
    assert refused(write_hum(tmp_path / "empty.wav", 0.0), tmp_path / "sounds")


def test_a_playlist_reaches_nothing_beyond_this_machine(tmp_path: Path) -> None:
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    assert refused(tmp_path / "list.m3u8", tmp_path / "sounds")


def test_a_sound_that_is_too_long_is_refused(tmp_path: Path) -> None:
    source = write_hum(tmp_path / "long.wav", 302.0, rate=8000)
    assert refused(source, tmp_path / "sounds") == "it lasts longer than 300 s"


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadSound, match=r"cannot be written to \((File exists|Not a directory)\); check speech.folder"):
        convert(write_hum(tmp_path / "a.wav"), tmp_path / "file" / "sounds")


def test_without_ffmpeg_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_file, "find_program", lambda _: None)
    assert "ffmpeg" in refused(write_hum(tmp_path / "a.wav"), tmp_path / "sounds")


def test_an_ffmpeg_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = tmp_path / "ffmpeg"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(sound_file, "find_program", lambda _: str(hanging))
    monkeypatch.setattr(sound_file, "FFMPEG_SECONDS", 0.1)
    assert refused(write_hum(tmp_path / "a.wav"), tmp_path / "sounds") == "ffmpeg was not done with it in 0.1 s"
