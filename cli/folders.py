"""Folders that belong to one running instance at a time."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from routing.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOCK = "lock"


def state_dir(environ: Mapping[str, str]) -> Path:
    """Name the folder of what must outlive a restart: HANDOFF_STATE_DIR, or the usual one for this user."""
    if given := environ.get("HANDOFF_STATE_DIR"):
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/handoff")
    return Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state", "handoff")


class FolderError(Exception):
    """The folder cannot be used; `problem` says why and how to mend it, `taken` that another instance has it."""

    def __init__(self, problem: Problem, *, taken: bool = False) -> None:
        super().__init__(str(problem))
        self.problem = problem
        self.taken = taken


class Folder:
    """A folder that this process alone may use until `leave`; made with mode 700 if it is missing.

    The lock is on an open file: handed on to the daemons as `descriptor`, it is held until the last of them is gone.
    """

    def __init__(self, path: Path, descriptor: int, *, made: bool) -> None:
        self.path = path
        self.descriptor = descriptor
        self._made = made

    @classmethod
    def take(cls, path: Path, option: str) -> Self:
        """Make and lock the folder; raises FolderError. `option` is what it is chosen by, for the mend."""
        path = path.absolute()
        try:
            made = not path.is_dir()
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path.stat().st_uid != os.geteuid() != 0:
                raise FolderError(
                    Problem(str(path), "the folder belongs to somebody else", f"choose another by {option}")
                )
            descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            what = f"the folder cannot be used ({error.strerror})"
            raise FolderError(Problem(str(path), what, f"choose another by {option}, or get the rights")) from error
        earlier = _read(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise FolderError(_taken(path, earlier.get("pid"), option), taken=True) from None
        if not _is_current(descriptor, path / LOCK):  # the other instance was just leaving
            os.close(descriptor)
            return cls.take(path, option)
        # After a run that was killed the folder is still there, and still ours to remove.
        made = made or bool(earlier.get("made"))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "made": made}).encode(), 0)
        return cls(path, descriptor, made=made)

    def clear(self, names: Iterable[str]) -> None:
        """Remove what is left of these files and folders."""
        for name in names:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def leave(self, *, remove: bool) -> None:
        """Give the folder up; with `remove` it goes as well, if it was made here and nothing else is in it."""
        (self.path / LOCK).unlink(missing_ok=True)
        if remove and self._made and not any(self.path.iterdir()):
            self.path.rmdir()
        os.close(self.descriptor)


def find_sounds_problem(folder: Path) -> Problem | None:
    """Make the folder of sounds if it is missing; say why it cannot be used."""
    mend = "give a speech.folder that the user of handoff may write to, or leave it out"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return Problem("speech.folder", f"the folder {folder} cannot be made ({error.strerror})", mend)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        owner = "somebody else" if folder.stat().st_uid != os.geteuid() else "this user"
        return Problem("speech.folder", f"{folder}, which belongs to {owner}, cannot be written to", mend)
    return None


def _read(descriptor: int) -> dict[str, Any]:
    try:
        data = json.loads(os.pread(descriptor, 1000, 0))
    except ValueError:
        return {}  # new, or being written
    return data if isinstance(data, dict) else {}


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _taken(path: Path, pid: object, option: str) -> Problem:
    if isinstance(pid, int) and not Path(f"/proc/{pid}").exists():
        what = f"the daemons of an earlier run (process {pid}) have not ended yet"
        return Problem(str(path), what, "try again in a moment")
    return Problem(str(path), f"another handoff (process {pid}) uses this folder", f"stop it, or give {option}")
