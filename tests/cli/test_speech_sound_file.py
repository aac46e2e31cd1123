"""Sound files are written and measured, also within the limits of the service, and where there is no room."""

from __future__ import annotations

import array
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cli.speech.sound_file import RATE, duration, read, write
from tests.cli.speech import write_hum

ROOT = Path(__file__).parents[2]
# What MemoryDenyWriteExecute of the unit does; a kernel before 6.3 does not know PR_SET_MDWE (65).
CONFINED = """
import array, ctypes, sys
from pathlib import Path
ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)
from cli.speech.sound_file import duration, trim, write
path = Path(sys.argv[1])
write(path, array.array("h", [0] * 24000 + [1000] * 24000))
trim(path)
print(duration(path))
"""


def test_what_was_written_is_read_and_measured(tmp_path: Path) -> None:
    samples = array.array("h", [0, 1, -1, 32767, -32768] * 4800)
    write(tmp_path / "a.aiff", samples)
    assert read(tmp_path / "a.aiff") == samples
    assert duration(tmp_path / "a.aiff") == len(samples) / RATE
    assert (tmp_path / "a.aiff").read_bytes().startswith(b"FORM")
    assert b"sowt" in (tmp_path / "a.aiff").read_bytes()[:100], "little-endian"


@pytest.mark.parametrize(
    ("name", "form"), [("a.wav", {}), ("a.aiff", {"rate": 44100}), ("b.aiff", {"channels": 2}), ("none.aiff", None)]
)
def test_a_file_that_is_not_as_all_sounds_are_has_no_duration(
    tmp_path: Path, name: str, form: dict[str, int] | None
) -> None:
    if form is not None:
        write_hum(tmp_path / name, **form)
    assert duration(tmp_path / name) == 0.0


def test_the_service_writes_sounds_though_it_may_not_make_code(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONFINED, str(tmp_path / "a.aiff")]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert float(done.stdout) == pytest.approx(0.5, abs=0.03)


def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="perhaps the disk is full"):
            write(tmp_path / "a.aiff", array.array("h", bytes(100_000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
