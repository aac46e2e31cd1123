"""`handoff up`: the whole stack in the foreground."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Self

import click

from cli.folders import state_dir as usual_state_dir
from cli.output import Exit
from cli.paths import run_dir as usual_run_dir
from cli.preflight import UnfitError
from cli.stack import Stack, StackError
from routing.settings import DEFAULT_PATH, Settings, SettingsError, load_settings

WIDTH = len("rtpengine")
KEPT_LINES = 10_000
LAST_LINES_SECONDS = 2.0
"""How long the end waits for a terminal that does not take the last lines."""


class StopAsked(BaseException):
    """Somebody wants the stack to end while it is still starting: no error, so that nothing takes it for one."""


class Signals:
    """Ctrl-C, SIGTERM and the closed terminal, as something that can be waited for.

    They come through a pipe: the kernel may hand a signal to any thread, and then the main one would not wake up.
    """

    def __init__(self) -> None:
        self._pipe, end = os.pipe()
        os.set_blocking(end, False)
        signal.set_wakeup_fd(end, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, lambda *_: None)

    def wait(self) -> None:
        """Wait for the first of them."""
        select.select([self._pipe], [], [])

    def pause(self, seconds: float) -> None:
        """Wait that long; raise StopAsked as soon as one of them comes."""
        if select.select([self._pipe], [], [], seconds)[0]:
            raise StopAsked


class Console:
    """Writes lines to stdout, each with its source before it; a context manager.

    `say` never waits, so that a terminal that is held (Ctrl-S) holds up neither calls nor the end: what it does not
    take is left out.
    """

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(KEPT_LINES)
        self._writer = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Self:
        self._writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
            self._writer.join(LAST_LINES_SECONDS)

    def say(self, source: str, line: str) -> None:
        """Write a line, soon."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(f"{source:{WIDTH}} | {line}\n" if source else f"{line}\n")

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with contextlib.suppress(OSError):  # nobody reads any more; calls go on
                sys.stdout.write(line)
                sys.stdout.flush()


@click.command()
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help=f"Default: {DEFAULT_PATH} here.")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="For sockets and what ends with the run; default: HANDOFF_RUN_DIR, $XDG_RUNTIME_DIR/handoff or /run/handoff.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="For the data of its own Redis; default: HANDOFF_STATE_DIR, ~/.local/state/handoff or /var/lib/handoff.",
)
def up(config: Path | None, run_dir: Path | None, state_dir: Path | None) -> None:
    r"""Run the whole stack in the foreground; Ctrl-C or SIGTERM ends it.

    Without redis.url in the configuration it starts its own Redis, without rtpengine.nodes its own rtpengine. A daemon
    that dies is started again.

    \b
    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 could not start or run,
    2 wrong usage or configuration.
    """
    settings, signals = _settings(config), Signals()
    try:
        with Console() as console:
            run = run_dir or usual_run_dir(os.environ)
            state = state_dir or usual_state_dir(os.environ)
            _run(Stack(settings, run, state, say=console.say, pause=signals.pause), signals, console)
    except (UnfitError, StackError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(Exit.FAILED)


def _run(stack: Stack, signals: Signals, console: Console) -> None:
    try:
        with stack:
            for part, places in stack.describe():
                console.say("", f"{part:{WIDTH}}   {places}")
            console.say("", "ready")
            signals.wait()
            console.say("", "stopping")
    except StopAsked:
        console.say("", "stopped before it was ready")
    else:
        console.say("", "stopped")


def _settings(config: Path | None) -> Settings:
    """Read the configuration, or end with all that is wrong with it."""
    if config is None and not os.environ.get("HANDOFF_CONFIG") and not Path(DEFAULT_PATH).exists():
        text = (
            f"there is no {DEFAULT_PATH} here: copy the example (cp deploy/handoff.toml {DEFAULT_PATH}), "
            "write your agents into [[pools]], and start again; or give --config FILE"
        )
        click.echo(f"Error: {text}", err=True)
        sys.exit(Exit.USAGE)
    try:
        return load_settings(config, os.environ)
    except SettingsError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(Exit.USAGE)
