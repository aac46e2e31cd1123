"""The spoken texts that are kept: the least recently used go when they are too many or too old.

Only files whose name is made from a text, and standard sounds of older versions, are ever dropped; the standard sounds
and the ready-made ones stay.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from typing import TYPE_CHECKING

from routing.transfer_record import Standard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SPOKEN = re.compile(rf"[0-9a-f]{{24}}\.(?:aiff|failed|wav)|(?:{'|'.join(Standard)})\.wav")
"""Texts, and all sounds of older versions, which were WAV files."""
WORK = ".making-*"
"""Folders in which files are made, before they are moved to their place."""
ABANDONED = 3600.0
"""Seconds after which such a folder belongs to nobody any more."""
DAY = 86400.0


class Cache:
    """The spoken texts in a folder, which other nodes may use as well; `size` in bytes, `age` in seconds."""

    def __init__(self, folder: Path, size: int, age: float, *, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._step = size // 20
        self._size = size - self._step  # what comes between two trims has room
        self._age = age
        self._clock = clock
        self._added = 0
        self._lock = threading.Lock()

    def use(self, path: Path) -> bool:
        """Say whether a file is there, and note that it is used now."""
        try:
            os.utime(path, (self._clock(), self._clock()))
        except FileNotFoundError:
            return False
        except PermissionError:
            return path.exists()  # another user's, in a folder that is shared: it ages by its reading alone
        return True

    def added(self, path: Path) -> None:
        """Count a new file, and trim when there have been many."""
        with self._lock:
            self._added += path.stat().st_size
            full = self._added >= self._step
            if full:
                self._added = 0
        if full:
            self.trim()

    def trim(self) -> int:
        """Drop what is too old or too much, and give the number of files dropped."""
        now = self._clock()
        files = sorted(self._spoken(), reverse=True)
        kept = dropped = 0
        for used, size, path in files:
            kept += size
            if kept > self._size or used < now - self._age:
                with contextlib.suppress(FileNotFoundError):  # another node was quicker
                    os.unlink(path)  # noqa: PTH108 - a string, as scandir gives them
                kept -= size
                dropped += 1
        for work in self._folder.glob(WORK):
            with contextlib.suppress(FileNotFoundError):
                if work.stat().st_mtime < now - ABANDONED:
                    shutil.rmtree(work, ignore_errors=True)
        return dropped

    def _spoken(self) -> Iterator[tuple[float, int, str]]:
        """Give when each was used last, how large it is, and where it is."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if SPOKEN.fullmatch(entry.name):
                    with contextlib.suppress(FileNotFoundError):
                        found = entry.stat()
                        # Whoever plays it reads it; most file systems note that once a day at least.
                        yield max(found.st_atime, found.st_mtime), found.st_size, entry.path
