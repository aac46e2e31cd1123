"""The cache of spoken texts stays within its size and age, and drops nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cli.speech.cache import DAY, Cache
from routing.settings import Speech
from routing.speech import file_of
from routing.transfer_record import Sound

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_000_000_000.0


class Folder:
    """A cache with a clock, and files in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = NOW
        self.cache = Cache(path, 1000, 30 * DAY, clock=lambda: self.now)

    def add(self, name: str, size: int = 100, age: float = 0.0) -> Path:
        path = self.path / name
        path.write_bytes(bytes(size))
        os.utime(path, (self.now - age, self.now - age))
        return path

    def spoken(self, text: str, size: int = 100, age: float = 0.0) -> Path:
        name = file_of(Speech(folder=str(self.path)), Sound(text=text)).name
        return self.add(name, size, age)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_what_is_too_old_is_dropped(folder: Folder) -> None:
    old, young = folder.spoken("old", age=30 * DAY + 1), folder.spoken("young", age=30 * DAY - 1)
    assert folder.cache.trim() == 1
    assert (old.exists(), young.exists()) == (False, True)


def test_the_least_recently_used_are_dropped_when_there_is_too_much(folder: Folder) -> None:
    files = [folder.spoken(str(number), 200, age=100.0 - number) for number in range(8)]
    assert folder.cache.use(files[0])
    assert folder.cache.trim() == 4
    assert [file.exists() for file in files] == [True, False, False, False, False, True, True, True]


def test_it_never_grows_beyond_its_size_while_files_are_added(folder: Folder) -> None:
    for number in range(60):
        folder.now += 1.0
        folder.cache.added(folder.spoken(str(number), 40))
        assert sum(file.stat().st_size for file in folder.path.iterdir()) <= 1000
    assert folder.spoken("59").exists()


def test_standard_and_ready_made_sounds_are_never_dropped(folder: Folder) -> None:
    kept = [folder.add(name, 5000, age=1000 * DAY) for name in ("music.aiff", "music-0123456789abcdef.wav", "a.txt")]
    folder.spoken("old", 5000, age=1000 * DAY)
    assert folder.cache.trim() == 1
    assert sorted(folder.path.iterdir()) == sorted(kept)


def test_the_sounds_of_older_versions_are_dropped_when_they_are_too_old(folder: Folder) -> None:
    """All were WAV files; versions before and after may share a folder while nodes are updated one by one."""
    text = folder.spoken("hello").with_suffix(".wav").name
    for name in (text, "music.wav", "caller_gone.wav"):
        folder.add(name, age=30 * DAY + 1)
    kept = {folder.add("message.wav", age=30 * DAY - 1), folder.spoken("hello")}
    assert folder.cache.trim() == 3
    assert set(folder.path.iterdir()) == kept


def test_what_is_read_counts_as_used(folder: Folder) -> None:
    path = folder.spoken("read")
    os.utime(path, (NOW, NOW - 40 * DAY))
    assert folder.cache.trim() == 0


def test_what_is_not_there_cannot_be_used(folder: Folder) -> None:
    assert folder.cache.use(folder.path / "none.aiff") is False


def test_the_work_of_a_process_that_was_killed_is_removed_and_that_of_others_is_not(folder: Folder) -> None:
    for name, age in ((".making-old", 2 * 3600.0), (".making-new", 60.0)):
        (folder.path / name).mkdir()
        (folder.path / name / "speech.wav").touch()
        os.utime(folder.path / name, (NOW - age, NOW - age))
    folder.cache.trim()
    assert [path.name for path in folder.path.iterdir()] == [".making-new"]
