"""Ending without dropping calls: no new ones are taken, and those that there are may end; and what systemd is told."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

from cli.output import counted
from cli.paths import DRAINING
from cli.probes import count_calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.stack import Stack

LOOK_EVERY = 1.0
"""Seconds between two looks at how many calls are left."""
TELL_EVERY = 30.0
"""Seconds between two lines in the log."""


def drain(stack: Stack, say: Callable[[str, str], None], pause: Callable[[float], None]) -> None:
    """Have new calls refused, and return when the last call of this node has ended, or `node.drain` has passed.

    While Redis does not tell how many calls there are it waits as well. `pause` waits, and may raise to end it.
    """
    node, url = stack.settings.node, stack.settings.redis.url or ""
    end, tell_at = time.monotonic() + node.drain, 0.0
    if not node.drain:
        return
    (stack.run_dir / DRAINING).touch()
    while (calls := count_calls(url, node.id)) != 0 and (now := time.monotonic()) < end:
        left = "an unknown number of calls" if calls is None else counted(calls, "call")
        notify(f"STATUS=taking no new calls, {left} left")
        if now >= tell_at:
            say("handoff", f"taking no new calls; {left} may end within {end - now:.0f} s; SIGTERM again stops at once")
            tell_at = now + TELL_EVERY
        pause(LOOK_EVERY)


def notify(state: str) -> None:
    """Tell systemd, where it has started us (Type=notify): see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    # Where systemd does not listen any more, it goes by its own timeouts; calls go on.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
