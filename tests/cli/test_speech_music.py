"""The hold music goes round without a click, is never silent, and is never taken for a voice."""

from __future__ import annotations

import time
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from cli.speech.music import make_music, write_music
from cli.speech.sound_file import duration
from cli.tones import PAUSE, UNKNOWN, listen

if TYPE_CHECKING:
    import array
    from collections.abc import Sequence
    from pathlib import Path

TONES = (440, 620, 1010, 550, 380, 1400, 1750)


@cache
def music() -> array.array[int]:
    return make_music()


def test_it_is_made_in_a_moment_and_lasts_half_a_minute_or_so(tmp_path: Path) -> None:
    began = time.process_time()
    write_music(tmp_path / "music.aiff")
    assert time.process_time() - began < 4.0
    assert 20.0 <= duration(tmp_path / "music.aiff") <= 30.0


def test_it_goes_round_without_a_click() -> None:
    samples = music()
    bends = bends_of(samples)
    assert bends_of([*samples[-50:], *samples[:50]]) < bends
    assert bends_of([*samples[-50:], *samples[100:150]]) > bends, "where it does not go on, it is seen"


def bends_of(samples: Sequence[int]) -> int:
    """Find the sharpest bend of a curve: a click is one."""
    steps = [after - before for before, after in pairwise(samples)]
    return max(abs(after - before) for before, after in pairwise(steps))


def test_it_is_loud_enough_and_never_cut_off() -> None:
    assert 4000 < max(music()) < 16000
    assert -16000 < min(music()) < -4000


@pytest.mark.parametrize("offset", [0, 80, 160, 240])
def test_it_is_never_silent_and_never_taken_for_one_of_the_phones(offset: int) -> None:
    tones = {f"tone {hertz}": hertz for hertz in TONES}
    heard = listen(music()[offset:], tones, rate=16000, shortest=0.0)
    assert PAUSE not in {sound.name for sound in heard}
    assert {sound.name for sound in heard} == {UNKNOWN}
