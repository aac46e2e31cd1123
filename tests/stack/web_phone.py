"""A phone that is a web page: SIP.js in a headless Chromium, which tells whom it hears."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cli.tones import PAUSE, UNKNOWN, Sound, without_crumbs
from tests.stack.browser import Browser
from tests.stack.system import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

MODULES = ROOT / ".venv" / "share" / "handoff" / "pages" / "node_modules"
PAGE = Path(__file__).parent / "pages" / "phone.html"
PATIENCE = 20.0
NEAR = 25
"""Hertz by which a tone may be missed: the page looks at steps of 12."""
ENOUGH = 10
"""Looks in a row, 20 ms each, that are no accident."""
SHORTEST = 0.1


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - so it is called there
        """Say nothing."""


class WebPhone:
    """A context manager; its microphone hums `tone` hertz, and of what it hears it knows these `tones`."""

    def __init__(self, tone: int, tones: Mapping[str, int]) -> None:
        self._tones = tones
        self._browser = Browser(tone)
        self._calls = 0

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="pages-"))
        (self._folder / "node_modules").symlink_to(MODULES)
        (self._folder / "phone.html").symlink_to(PAGE)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(self._folder)))
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        try:
            self._browser.__enter__()
            self.open()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._browser.__exit__()
        finally:
            self._close()

    def _close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        shutil.rmtree(self._folder)

    def open(self) -> None:
        """Show the page anew; what it was before is gone."""
        self._browser.open(f"{self.origin}/phone.html")
        self._browser.run("while (!window.phone) await new Promise(resolve => setTimeout(resolve, 20))")
        self._calls = 0

    def register(self, server: str, user: str, password: str) -> None:
        """Connect to `server` and register as `user`, such as alice@handoff.local."""
        self._browser.run("return await phone.register(...arguments)", server, user, password)

    def unregister(self) -> None:
        """Say that nobody is here any more."""
        self._browser.run("await phone.unregister()")

    def accept(self) -> None:
        """Wait for the next call, and take it."""
        self._calls += 1
        self._browser.run("await phone.accept(...arguments)", self._calls)

    def hang_up(self) -> None:
        """End the call."""
        self._browser.run("await phone.hangUp()")

    def hung_up(self) -> None:
        """Wait until the other side has ended the call."""
        self._browser.run("await phone.reaches(SessionState.Terminated)")

    def hold(self) -> None:
        """Put the call on hold."""
        self._browser.run("return await phone.hold(true)")

    def resume(self) -> None:
        """Take the call from hold."""
        self._browser.run("return await phone.hold(false)")

    def press(self, key: str) -> None:
        """Press a key."""
        assert self._browser.run("return phone.press(...arguments)", key)

    def answer(self, offer: str) -> str:
        """Give an answer to an offer that a test has got."""
        return str(self._browser.run("return await phone.answer(...arguments)", offer))

    def offer(self) -> str:
        """Make an offer for a test to send."""
        return str(self._browser.run("return await phone.offer()"))

    def answered(self, answer: str) -> None:
        """Take the answer that a test has got to `offer`."""
        self._browser.run("await phone.answered(...arguments)", answer)

    def log(self) -> list[str]:
        """Give what the page has written to its console."""
        return self._browser.log()

    def heard(self, since: float = 0.0) -> list[Sound]:
        """Tell whom the page has heard one after another; times are as in `time.time()`."""
        looks = self._browser.run("return phone.heard.filter(([when]) => when >= arguments[0])", since)
        sounds = [Sound(when, when + 0.02, self._name(hertz)) for when, hertz in looks]
        return without_crumbs(sounds, 0)

    def _name(self, hertz: float) -> str:
        if not hertz:
            return PAUSE
        return next((name for name, tone in self._tones.items() if abs(tone - hertz) < NEAR), UNKNOWN)

    def wait_heard(self, who: str, since: float | None = None) -> None:
        """Wait until the page hears somebody, from now on."""
        since = time.time() if since is None else since
        deadline = time.monotonic() + PATIENCE
        while not any(sound.name == who and sound.seconds > SHORTEST for sound in self.heard(since)):
            assert time.monotonic() < deadline, f"the page does not hear {who}, but {self.heard(since)}; {self.log()}"
            time.sleep(0.1)

    def voices(self) -> list[str]:
        """Tell whom it has heard one after another, from the first sound on."""
        names = [sound.name for sound in without_crumbs(self.heard(), SHORTEST)]
        while names and names[0] in {PAUSE, UNKNOWN}:
            names.pop(0)
        return names
