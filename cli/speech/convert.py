"""Ready-made sound files, taken into the folder of sounds in a form that rtpengine plays."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path

from cli.speech.sound_file import BadSound, transcode

__all__ = ["LONGEST", "BadSound", "convert"]

LONGEST = 300.0
"""Seconds that a ready-made sound may last."""
LARGEST = 500_000_000
"""Bytes that a file may have."""
STRANGE = re.compile(r"[^A-Za-z0-9._]+")


def convert(source: Path, folder: Path, longest: float = LONGEST) -> Path:
    """Convert a sound file to what rtpengine plays at once, within `folder`; raises BadSound.

    The name is made of the source's name and contents: the same file given twice is kept once.
    """
    try:
        if not source.is_file():
            what = "it is no file" if source.exists() else "there is no such file"
            raise BadSound(what, "give the path of a sound file")
        if source.stat().st_size > LARGEST:
            raise BadSound(f"it has more than {LARGEST // 1_000_000} MB", "give a shorter file")
        with source.open("rb") as file:
            mark = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    except OSError as error:
        raise BadSound(f"it cannot be read ({error.strerror})", "check its path and its access rights") from error
    stem = STRANGE.sub("-", source.stem).strip("-.")[:40] or "sound"
    path = folder / f"{stem}-{mark}.aiff"
    if not path.exists():
        take_in(source, path, longest)
    return path


def take_in(source: Path, path: Path, longest: float) -> None:
    """Convert into exactly this path, which then is there complete or not at all; raises BadSound."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as work:
            made = Path(work, path.name)
            transcode(source, made, longest)
            made.replace(path)
    except OSError as error:
        mend = "check speech.folder, its access rights and the space there"
        raise BadSound(f"{path.parent} cannot be written to ({error.strerror})", mend) from error
