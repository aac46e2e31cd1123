"""`handoff up`: the whole stack in the foreground."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

import click

from cli.drain import drain, notify
from cli.effective import BEGIN, nothing_to_read
from cli.folders import state_dir as usual_state_dir
from cli.log_lines import json_line
from cli.output import PATH, Exit, counted, time_of_day
from cli.paths import run_dir as usual_run_dir
from cli.preflight import UnfitError
from cli.probes import count_calls
from cli.stack import Stack, StackError
from routing.settings import DEFAULT_PATH, Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from pathlib import Path

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

    def wait(self) -> int:
        """Wait for the first of them, and give its number."""
        return os.read(self._pipe, 1)[0]

    def pause(self, seconds: float) -> None:
        """Wait that long; raise StopAsked as soon as one of them comes."""
        if select.select([self._pipe], [], [], seconds)[0]:
            raise StopAsked


class Console:
    """Writes lines to stdout, each with its time and its source before it, or `as_json`; a context manager.

    `say` never waits, so that a terminal that is held (Ctrl-S) holds up neither calls nor the end: what it does not
    take is left out.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
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
        """Write a line of the log, soon."""
        now = time.time()
        self._put(f"{json_line(now, source, line) if self._as_json else _text_line(now, source, line)}\n")

    def tell_place(self, part: str, places: str) -> None:
        """Write where a part listens, soon."""
        if self._as_json:
            self.say(part, f"listens at {places}")
        else:
            self._put(f"{part:{WIDTH}}   {places}\n")

    def _put(self, line: str) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(line)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with contextlib.suppress(OSError):  # nobody reads any more; calls go on
                sys.stdout.write(line)
                sys.stdout.flush()


def _text_line(at: float, source: str, line: str) -> str:
    return f"{time_of_day(at)} {source:{WIDTH}} | {line}"


@click.command()
@click.option("--config", type=PATH, metavar="FILE", help=f"Default: {DEFAULT_PATH} here.")
@click.option(
    "--run-dir",
    type=PATH,
    metavar="DIR",
    help="For sockets and what ends with the run; default: HANDOFF_RUN_DIR, $XDG_RUNTIME_DIR/handoff or /run/handoff.",
)
@click.option(
    "--state-dir",
    type=PATH,
    metavar="DIR",
    help="For sounds and its own Redis's data; default: HANDOFF_STATE_DIR, ~/.local/state/handoff or /var/lib/handoff.",
)
def up(config: Path | None, run_dir: Path | None, state_dir: Path | None) -> None:
    """Run the whole stack in the foreground; Ctrl-C or SIGTERM ends it.

    Without redis.url in the configuration it starts its own Redis, without rtpengine.nodes its own rtpengine. A daemon
    that dies is started again. With node.drain, SIGTERM first lets calls end; a second one does not wait for them.

    \b
    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 could not start or run,
    2 wrong usage or configuration.
    """  # noqa: D301 - click wants the sign itself
    settings, signals = _settings(config), Signals()
    try:
        with Console(as_json=settings.log.format == "json") as console:
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
                console.tell_place(part, places)
            console.say("handoff", "ready")
            notify("READY=1")
            if signals.wait() == signal.SIGTERM:
                with contextlib.suppress(StopAsked):  # asked again: now at once
                    drain(stack, console.say, signals.pause)
            notify("STOPPING=1")
            console.say("handoff", f"stopping{_warn(stack)}")
    except StopAsked:
        console.say("handoff", "stopped before it was ready")
    else:
        console.say("handoff", "stopped")


def _warn(stack: Stack) -> str:
    """Say how many calls the end is bad for; nothing where there are none, or Redis does not answer at once."""
    calls = count_calls(stack.settings.redis.url or "", stack.settings.node.id)
    if not calls:
        return ""
    active = f"; {counted(calls, 'call')} {'is' if calls == 1 else 'are'} active"
    own_media = "rtpengine" in stack.ports  # one of somebody else goes on without us
    return f"{active} and {'loses its' if calls == 1 else 'lose their'} media" if own_media else active


def _settings(config: Path | None) -> Settings:
    """Read the configuration, or end with all that is wrong with it."""
    if config is None and nothing_to_read(os.environ):
        click.echo(f"Error: there is no {DEFAULT_PATH} here: {BEGIN}", err=True)
        sys.exit(Exit.USAGE)
    try:
        return load_settings(config, os.environ)
    except SettingsError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(Exit.USAGE)
