"""`handoff demo`: one transfer of each mode with real SIP phones and real audio, on this machine alone."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from cli.output import Exit, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

NEEDED = {"pjsua2": "pjsua2-python (the SIP phones)", "numpy": "numpy (compares sounds)"}
"""What only the demo and the tests need, by the names of the modules."""
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON, errors (on stderr) included.")
def demo(as_json: bool) -> None:
    """Run a transfer of each mode with real phones and real audio; takes about half a minute.

    It starts Redis, rtpengine, Kamailio and three SIP phones at a loopback address that nothing else uses, with all
    files in a temporary folder. Each phone has a tone as its voice, and records what it hears: the recordings
    tell who was heard when. Music and speech are found in them by comparing.

    \b
    Exit codes: 0 all was as it should be, 1 something was not or it could not
    run, 2 wrong usage.
    """  # noqa: D301 - click wants the sign itself
    try:
        with _interruptible():
            as_it_should_be = _play(as_json=as_json)
    except Failed as error:
        click.echo(json.dumps({"error": str(error), "problems": []}) if as_json else f"Error: {error}", err=True)
        sys.exit(error.code)
    sys.exit(Exit.OK if as_it_should_be else Exit.FAILED)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and the closed terminal end it as Ctrl-C does: all is stopped and removed on the way out."""
    handlers = {number: signal.getsignal(number) for number in ENDINGS}
    for number, handler in handlers.items():
        if handler is not signal.SIG_IGN:  # as SIGHUP is under nohup
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Leave, and let nothing interrupt that."""
    del number, frame
    for ending in ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def _play(*, as_json: bool) -> bool:
    if missing := [package for module, package in NEEDED.items() if not find_spec(module)]:
        raise Failed(f"the demo needs {' and '.join(missing)}: run `make install`, or use `make demo`")
    from cli.demo_play import play  # noqa: PLC0415 - needs what only the demo and the tests have

    return play(as_json=as_json)
