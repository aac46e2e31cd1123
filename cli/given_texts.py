"""Texts that are given with a command: as a word, or by stdin, and what they are for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cli.output import Exit, Failed
from routing.outcomes import Mode
from routing.speech import check_speech, fold
from routing.target_fields import parse_mode
from routing.texts import BadValue

if TYPE_CHECKING:
    from collections.abc import Mapping

STDIN = "-"
_USELESS = {"message": (Mode.BLIND,), "summary": (Mode.BLIND, Mode.MESSAGE)}
"""The modes in which they have no effect."""


def read_text(text: str, what: str) -> str:
    """Check a text that is to be spoken, its lines put on one; "-" stands for what stdin holds. Raises BadValue."""
    if text == STDIN:
        try:
            text = sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadValue(f"{what} is not UTF-8 at byte {error.start + 1}", mend="write it as UTF-8 text") from None
    return check_speech(fold(text), what)


def read_details(given: Mapping[str, str | None]) -> dict[str, str]:
    """Check mode, message and summary of a transfer, as far as they are given; raises BadValue, and Failed."""
    details = {name: text for name, text in given.items() if text is not None}
    mode = parse_mode(details["mode"]) if "mode" in details else None
    texts = [name for name in _USELESS if name in details]
    for name in texts:
        if mode in _USELESS[name]:
            raise Failed(f"--{name} has no effect in the mode {mode}: leave one of them out", Exit.USAGE)
    if len([name for name in texts if details[name] == STDIN]) > 1:
        raise Failed("only one text can be read from stdin: give the other one as a word", Exit.USAGE)
    return {**details, **{name: read_text(details[name], f"the {name}") for name in texts}}
