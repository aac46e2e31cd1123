"""A headless Chromium with a microphone that hums a tone, told what to do over WebDriver (W3C)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cli.ports import free_port
from cli.tones import write_tone

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE = 60.0
"""Seconds that it may take to start, or to do something, on a busy machine."""
MICROPHONE_RATE = 48000
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--ignore-certificate-errors",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # Media stay on this machine.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns,MediaRouter,OptimizationHints",
)


class Browser:
    """A context manager: the browser runs inside, with one page; nothing of it is left after it."""

    def __init__(self, tone: int) -> None:
        self._tone = tone
        self._folder = Path(tempfile.mkdtemp(prefix="browser-"))
        self._address = f"http://127.0.0.1:{free_port('tcp')}"
        self._session = ""

    def __enter__(self) -> Self:
        voice = write_tone(self._folder / "voice.wav", self._tone, rate=MICROPHONE_RATE)
        command = ["chromedriver", f"--port={self._address.rpartition(':')[2]}", f"--log-path={self._folder}/log"]
        # All of the browser's own folders are in ours, and all its processes in one group.
        folders = {name: str(self._folder) for name in ("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
        self._driver = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | folders,
            start_new_session=True,
        )
        try:
            self._wait_for_driver()
            options = [
                *OPTIONS,
                f"--use-file-for-fake-audio-capture={voice}",
                f"--user-data-dir={self._folder}/profile",
            ]
            chrome = {"args": options, "binary": shutil.which("chromium")}
            wanted = {"goog:chromeOptions": chrome, "timeouts": {"script": round(1000 * PATIENCE)}}
            made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self._session = f"/session/{made['sessionId']}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._session:
                self._ask("DELETE", self._session)
        finally:
            os.killpg(self._driver.pid, signal.SIGKILL)  # chromedriver, and all that the browser has left
            self._driver.wait(PATIENCE)
            shutil.rmtree(self._folder)

    def open(self, url: str) -> None:
        """Show a page; returns when it is loaded."""
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: object) -> Any:
        """Run `script` as the body of an async function with these `arguments`; gives what it returns."""
        body = (
            "const done = arguments[arguments.length - 1], given = [...arguments].slice(0, -1);"
            f"(async (...arguments) => {{ {script} }})(...given).then(value => done([null, value ?? null]),"
            " error => done([String(error && error.stack || error), null]))"
        )
        error, value = self._ask("POST", f"{self._session}/execute/async", {"script": body, "args": arguments})
        assert error is None, f"the page says: {error}"
        return value

    def log(self) -> list[str]:
        """Give what the page has written to its console."""
        return [entry["message"] for entry in self._ask("POST", f"{self._session}/se/log", {"type": "browser"})]

    def _wait_for_driver(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                if self._ask("GET", "/status")["ready"]:
                    return
            except OSError:
                assert self._driver.poll() is None, "chromedriver has ended"
            assert time.monotonic() < deadline, "chromedriver does not answer"
            time.sleep(0.05)

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=2 * PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None
