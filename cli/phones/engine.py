"""PJSIP, in a thread of its own: the only code that touches pjsua2 objects.

pjsua2 wants every object made, used and dropped by threads it knows, and its callbacks must not raise. So one thread
owns the library: it runs the event loop, executes what other threads hand to `Engine.do`, and drops the last reference
to each call and recorder. Other threads hold numbers and plain values only; the garbage collector finds nothing there.
"""

from __future__ import annotations

import ctypes
import queue
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

import pjsua2 as pj

from cli.phones.events import PhoneError
from cli.phones.pjsip import CallNotes, EngineAccount, EngineCall
from cli.phones.texts import request_port
from cli.tones import RATE, write_tone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.phones.events import Journal
    from cli.phones.pjsip import Line

T = TypeVar("T")

_KINDS = {"udp": pj.PJSIP_TRANSPORT_UDP, "tcp": pj.PJSIP_TRANSPORT_TCP, "tls": pj.PJSIP_TRANSPORT_TLS}
_POLL_MS = 5
_LOG_LEVEL = 5
_MAX_CALLS = 4  # what the wheel was built for


class _Endpoint(pj.Endpoint):  # type: ignore[misc]
    """The library; it finds the phone of a new call by the port that was dialled, whatever the user part is."""

    def __init__(self) -> None:
        super().__init__()
        self.accounts: dict[int, int] = {}  # port -> PJSIP's number of the account

    def onSelectAccount(self, prm: Any) -> None:  # noqa: N802
        """Choose by the port."""
        prm.accountIndex = self.accounts.get(request_port(prm.rdata.wholeMsg) or 0, prm.accountIndex)


class Engine:
    """The thread that owns PJSIP; one at a time in a process.

    `folder` gets the voices, the recordings and `pjsip.log`; `journal` gets the events.
    """

    def __init__(self, folder: Path, journal: Journal) -> None:
        self.folder = folder
        self.journal = journal
        self.calls: dict[int, EngineCall] = {}
        self.notes: dict[int, CallNotes] = {}
        self.accounts: dict[str, EngineAccount] = {}
        self.graveyard: list[Any] = []  # dropped by the loop, never inside one of their own callbacks
        self.trouble: list[str] = []
        self._numbers = 0
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._orders: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pjsip")
        self._started: Future[None] = Future()
        self._endpoint: Any = None
        self._silence: Any = None

    # -- from any thread

    def start(self) -> None:
        """Start the thread and the library; raises PhoneError when the library does not start."""
        self._thread.start()
        self._started.result()

    def stop(self) -> None:
        """End all calls and the library, and wait for the thread; raises PhoneError for what went wrong inside."""
        self._stopping = True
        self._thread.join()
        if self.trouble:
            raise PhoneError("a phone's callback failed: " + "; ".join(self.trouble))

    def do(self, order: Callable[[], T]) -> T:
        """Run `order` in the engine's thread and return its result; raises PhoneError when PJSIP refuses."""
        if not self._thread.is_alive() or self._stopping:
            raise PhoneError("the phones are switched off: use them inside `with Phones() as phones:`")
        future: Future[T] = Future()
        self._orders.put((order, future))
        return future.result()

    # -- from the engine's thread only

    def number(self) -> int:
        """Return a number for a new call."""
        self._numbers += 1
        return self._numbers

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` in this thread, `seconds` from now."""
        self._timers.append((time.monotonic() + seconds, action))

    def add_account(self, name: str, tone: int, line: Line, codecs: tuple[str, ...]) -> int:
        """Make a transport, an account and a voice; returns the SIP port."""
        account = EngineAccount(self, name, codecs, line, write_tone(self.folder / f"{name}.tone.wav", tone))
        self.accounts[name] = account
        self._endpoint.accounts[account.port] = account.getId()
        return account.port

    def new_recorder(self, path: Path) -> Any:
        """Make an ear. It hears silence all the time, or the pauses would be missing in the recording."""
        recorder = pj.AudioMediaRecorder()
        recorder.createRecorder(str(path))
        self._silence.startTransmit(recorder)
        return recorder

    def make_transport(self, line: Line) -> tuple[int, int]:
        """Open a transport, at a free port where the line names none; returns PJSIP's number of it and the port."""
        config = pj.TransportConfig()
        config.port = line.port
        config.boundAddress = config.publicAddress = line.address
        if line.certificate:
            config.tlsConfig.certFile, config.tlsConfig.privKeyFile = str(line.certificate), str(line.key)
        number = self._endpoint.transportCreate(_KINDS[line.transport], config)
        return number, int(self._endpoint.transportGetInfo(number).localName.rpartition(":")[2])

    def _run(self) -> None:
        try:
            self._open()
        except Exception as error:  # noqa: BLE001 - told by `start`, which would wait for ever else
            self._started.set_exception(PhoneError(f"PJSIP does not start: {error}"))
            return
        self._started.set_result(None)
        while not self._stopping:
            self._turn()
        self._close()

    def _open(self) -> None:
        # The library talks to stdout until it has read its settings.
        ctypes.CDLL(pj._pjsua2.__file__).pj_log_set_level(0)  # noqa: SLF001
        self._endpoint = _Endpoint()
        self._endpoint.libCreate()
        self._endpoint.libInit(_settings(self.folder))
        self._endpoint.audDevManager().setNullDev()
        self._endpoint.libStart()
        for codec in self._endpoint.codecEnum2():
            usable = codec.codecId.split("/")[0] in {"PCMU", "PCMA", "G722"}
            self._endpoint.codecSetPriority(codec.codecId, 128 if usable else 0)
        self._silence = pj.AudioMediaPlayer()
        self._silence.createPlayer(str(write_tone(self.folder / "silence.wav", 0)))

    def _turn(self) -> None:
        """One turn of the loop: orders, timers, PJSIP's events, the dead."""
        while not self._orders.empty():
            self._carry_out(*self._orders.get())
        now = time.monotonic()
        due = [action for at, action in self._timers if at <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for action in due:
            self._guard(action)
        self._endpoint.libHandleEvents(_POLL_MS)
        self.graveyard.clear()

    def _guard(self, action: Callable[[], None]) -> None:
        try:
            action()
        except pj.Error as error:
            self.trouble.append(f"{error.reason} ({error.title})")

    def _carry_out(self, order: Callable[[], Any], future: Future[Any]) -> None:
        # Errors cross to the other thread without traceback: its frames hold pjsua2 objects.
        try:
            future.set_result(order())
        except pj.Error as error:
            future.set_exception(PhoneError(f"{error.reason} ({error.title})"))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever gave the order
            future.set_exception(error.with_traceback(None))

    def _close(self) -> None:
        """End calls first, then media, accounts, library: PJSIP aborts in any other order."""
        self._timers.clear()
        self._endpoint.hangupAllCalls()  # orders that still come in are carried out by the turns below
        self._turn_until(lambda: not self.calls, 2.0)
        for call in self.calls.values():
            call.drop_recorder()
        self.graveyard.extend(self.calls.values())
        self.calls.clear()
        for account in self.accounts.values():
            account.close()
        self.graveyard.extend([*self.accounts.values(), self._silence])
        self.accounts.clear()
        self._silence = None
        self._turn_until(lambda: False, 0.1)  # media ports go at the next tick of the conference bridge
        self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)  # or it waits a second for registrations
        self._endpoint = None

    def _turn_until(self, done: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            self._turn()


def _settings(folder: Path) -> Any:
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = _MAX_CALLS
    config.uaConfig.userAgent = "handoff test phone"
    config.logConfig.level = _LOG_LEVEL
    config.logConfig.consoleLevel = 0
    config.logConfig.filename = str(folder / "pjsip.log")
    config.medConfig.clockRate = RATE
    config.medConfig.sndClockRate = RATE
    config.medConfig.ecTailLen = 0
    config.medConfig.noVad = True
    config.medConfig.sndAutoCloseTime = -1
    return config
