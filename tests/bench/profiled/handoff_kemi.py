"""Loads handoff as Kamailio always does, with a profiler around each of its callbacks."""

from __future__ import annotations

import cProfile
import json
import os
import site
import time
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

site.addsitedir(os.environ["HANDOFF_SITE_PACKAGES"])

from kemi import app  # only now can it be found
from kemi.names import Callback

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(os.environ["HANDOFF_BENCH_PROFILE"])
FUNCTIONS = os.environ["HANDOFF_BENCH_FUNCTIONS"] == "yes"
DUMP_EVERY = 0.5
"""Seconds between two dumps: Kamailio ends its workers without a word to Python."""


class Recorder:
    """Adds up the CPU time of the callbacks of one worker, and with FUNCTIONS that of each function in them."""

    def __init__(self) -> None:
        self._profiler = cProfile.Profile(time.thread_time)
        self._callbacks: dict[str, tuple[int, float]] = {}
        self._dumped = 0.0

    def around(self, callback: Callable[..., int]) -> Callable[..., int]:
        """Measure what a callback takes."""

        @wraps(callback)
        def measured(*args: object) -> int:
            begun = time.thread_time()
            try:
                return self._profiler.runcall(callback, *args) if FUNCTIONS else callback(*args)
            finally:
                name = _name(callback, args)
                count, seconds = self._callbacks.get(name, (0, 0.0))
                self._callbacks[name] = (count + 1, seconds + time.thread_time() - begun)
                if time.monotonic() > self._dumped + DUMP_EVERY:
                    self._dump()

        return measured

    def _dump(self) -> None:
        self._dumped = time.monotonic()
        if FUNCTIONS:
            self._profiler.dump_stats(FOLDER / f"{os.getpid()}.functions")
        (FOLDER / f"{os.getpid()}.callbacks").write_text(json.dumps(self._callbacks))


def _name(callback: Callable[..., int], args: tuple[object, ...]) -> str:
    message: Any = args[0] if args else None
    return f"{callback.__name__} {message.Method}" if callback.__name__ == Callback.REQUEST else callback.__name__


def mod_init() -> app.Handoff:
    """Make the object that Kamailio calls, with the profiler around its methods."""
    handoff = app.mod_init()
    recorder = Recorder()
    for name in Callback:
        setattr(handoff, name, recorder.around(getattr(handoff, name)))
    return handoff
