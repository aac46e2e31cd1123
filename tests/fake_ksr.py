"""A strict stand-in for Kamailio's `KSR` module, for unit tests of the `kemi` adapter.

It answers from a SIP message (`fake.receive(text)`) and from scripted results (`fake.on("tm.t_relay", returns=1)`).
Anything that was not scripted, and every call with arguments that the real function would refuse, is an
AssertionError. What exists, with which arguments and results, is read from kemi/stubs/KSR.pyi.
"""

from __future__ import annotations

import re
import sys
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fake_message import FakeMessage, Value, parts_of, uri_of
from tests.ksr_stub import STUB, read_stub

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.ksr_stub import Signature

SIGNATURES = read_stub(STUB.read_text())
SUCCESSES: dict[str, Value] = {"int": 1, "bool": True, "None": None}
METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REFER", "NOTIFY", "INFO", "UPDATE", "PRACK", "MESSAGE")
_SUCCESS = object()
LOGGING = ("dbg", "info", "notice", "warn", "err", "crit")


@dataclass(frozen=True, slots=True)
class Call:
    """One call that the adapter made."""

    name: str
    args: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Script:
    args: tuple[object, ...]
    result: Callable[..., object]


class FakeKsr:
    """One test's KSR: scripts what functions give, holds the current message, and records calls.

    `calls` has everything that does something, in order; reads of the message and log lines are in `reads` and `log`.
    """

    def __init__(self) -> None:
        self.signatures = SIGNATURES
        self.calls: list[Call] = []
        self.reads: list[Call] = []
        self.log: list[tuple[str, str]] = []
        self.variables: dict[str, object] = {}
        self._scripts: dict[str, list[_Script]] = {}
        self._message: FakeMessage | None = None
        self._request: FakeMessage | None = None

    def receive(self, message: FakeMessage | str, *, request: FakeMessage | str | None = None) -> FakeMessage:
        """Make this the current message; `request` is what `$T_req(...)` shows from a reply. Forgets set variables."""
        self._message = FakeMessage.parse(message) if isinstance(message, str) else message
        self._request = FakeMessage.parse(request) if isinstance(request, str) else request
        self.variables = {}
        return self._message

    def on(
        self, name: str, *args: object, returns: object = _SUCCESS, does: Callable[..., object] | None = None
    ) -> None:
        """Script a function: for these arguments, or for any when none are given; the newest script wins.

        Without `returns` it succeeds (1 or True); `does` is called with the arguments and gives the result.
        """
        signature = self._signature(name)
        assert not args or signature.accepts(args), f"KSR.{name} takes {signature.params}, never {args!r}"
        if does is not None:
            self._scripts.setdefault(name, []).insert(0, _Script(args, does))
            return
        if returns is _SUCCESS:
            assert signature.result in SUCCESSES, f"say what KSR.{name} shall return"
            returns = SUCCESSES[signature.result]
        assert signature.gives(returns), f"KSR.{name} gives {signature.result}, never {returns!r}"
        self._scripts.setdefault(name, []).insert(0, _Script(args, lambda *_: returns))

    def allow(self, *names: str) -> None:
        """Script functions to succeed whatever their arguments."""
        for name in names:
            self.on(name)

    def called(self, name: str) -> list[tuple[object, ...]]:
        """Give the arguments of each call of a function, in order."""
        self._signature(name)
        return [call.args for call in (*self.calls, *self.reads) if call.name == name]

    def call(self, name: str, args: tuple[object, ...]) -> object:
        """Do what the real function would, as scripted or as the message says."""
        signature = self._signature(name)
        assert signature.accepts(args), f"KSR.{name} takes ({', '.join(signature.params)}), got {args!r}"
        if name in LOGGING:
            self.log.append((name, str(args[0])))
            return None
        answer = _ANSWERS.get(name)
        (self.reads if answer else self.calls).append(Call(name, args))
        for script in self._scripts.get(name, []):
            if script.args in ((), args):
                result = script.result(*args)
                break
        else:
            if name in ("pv.sets", "pv.seti", "pv.unset"):
                self.variables[str(args[0])] = args[1] if len(args) > 1 else None
                return True
            assert answer, f"KSR.{name}{args!r} was called, but the test has not scripted it"
            result = answer(self, *args)
        assert signature.gives(result), f"KSR.{name} gives {signature.result}, never {result!r}"
        return result

    @property
    def message(self) -> FakeMessage:
        """The current message; AssertionError before the first `receive`."""
        assert self._message is not None, "the adapter reads the message, but the test has not received one"
        return self._message

    def pv(self, name: str) -> object:
        """Give a pseudo-variable: as set last, or of the message, or with `$T_req(...)` of its request."""
        if name in self.variables:
            return self.variables[name]
        if inner := re.fullmatch(r"\$T_req\((\$.+)\)", name):
            return self._request.pv(inner[1], self._request.uri) if self._request else None
        if name == "$du" or re.match(r"\$(var|avp|xavp|shv|sht|fs)\b", name):
            return 0 if name.startswith("$var") else None
        uri = self.variables.get("$ru", self.message.uri)
        return self.message.pv(name, None if uri is None else str(uri))

    def _signature(self, name: str) -> Signature:
        assert name in self.signatures, f"Kamailio has no KSR.{name}"
        return self.signatures[name]


def _or(value: object, otherwise: object) -> object:
    return otherwise if value is None else value


def _number(value: object) -> int:
    return int(str(value)) if re.fullmatch(r"-?\d+", str(value)) else 0


def _yes(truth: bool) -> int:
    return 1 if truth else -1


_ANSWERS: dict[str, Callable[..., object]] = {
    "pv.get": lambda fake, name: fake.pv(name),
    "pv.gete": lambda fake, name: _or(fake.pv(name), ""),
    "pv.getw": lambda fake, name: _or(fake.pv(name), "<null>"),
    "pv.getvs": lambda fake, name, otherwise: _or(fake.pv(name), otherwise),
    "pv.getvn": lambda fake, name, otherwise: _or(fake.pv(name), otherwise),
    "pv.geti": lambda fake, name: _number(fake.pv(name)),
    "pv.is_null": lambda fake, name: fake.pv(name) is None,
    "hdr.get": lambda fake, name: fake.message.get(name),
    "hdr.gete": lambda fake, name: _or(fake.message.get(name), ""),
    "hdr.getw": lambda fake, name: _or(fake.message.get(name), "<null>"),
    "hdr.get_idx": lambda fake, name, index: fake.message.get(name, index),
    "hdr.gete_idx": lambda fake, name, index: _or(fake.message.get(name, index), ""),
    "hdr.is_present": lambda fake, name: _yes(fake.message.get(name) is not None),
    "textops.has_body": lambda fake: _yes(bool(fake.message.body)),
    "kx.get_body": lambda fake: fake.message.body or None,
    "kx.gete_body": lambda fake: fake.message.body,
    "kx.get_bodylen": lambda fake: len(fake.message.body.encode()),
    "kx.get_callid": lambda fake: fake.message.get("call-id") or "",
    "kx.get_cturi": lambda fake: fake.message.contact(),
    "kx.gete_cturi": lambda fake: fake.message.contact() or "",
    "kx.get_duri": lambda fake: fake.pv("$du"),
    "kx.get_fhost": lambda fake: parts_of(uri_of(fake.message.get("from")))[1],
    "kx.get_furi": lambda fake: uri_of(fake.message.get("from")),
    "kx.get_fuser": lambda fake: parts_of(uri_of(fake.message.get("from")))[0],
    "kx.get_method": lambda fake: fake.message.method,
    "kx.get_msgbuf": lambda fake: fake.message.text,
    "kx.get_msgtype": lambda fake: 2 if fake.message.is_reply else 1,
    "kx.get_ouri": lambda fake: fake.message.uri,
    "kx.get_proto": lambda fake: fake.message.proto,
    "kx.get_rcvaddr_sock": lambda fake: "{}:{}:{}".format(fake.message.proto, *fake.message.local),
    "kx.get_rcvip": lambda fake: fake.message.local[0],
    "kx.get_rcvport": lambda fake: fake.message.local[1],
    "kx.get_rhost": lambda fake: fake.pv("$rd"),
    "kx.get_ruri": lambda fake: fake.pv("$ru"),
    "kx.get_ruser": lambda fake: fake.pv("$rU"),
    "kx.get_srcip": lambda fake: fake.message.source[0],
    "kx.get_srcport": lambda fake: fake.message.source[1],
    "kx.get_srcuri": lambda fake: fake.pv("$su"),
    "kx.get_status": lambda fake: _or(fake.message.status, -1),
    "kx.get_thost": lambda fake: parts_of(uri_of(fake.message.get("to")))[1],
    "kx.get_turi": lambda fake: uri_of(fake.message.get("to")),
    "kx.get_tuser": lambda fake: parts_of(uri_of(fake.message.get("to")))[0],
    "kx.get_ua": lambda fake: fake.message.get("user-agent"),
    **{f"is_{method}": lambda fake, method=method: fake.message.method == method for method in METHODS},
}


class KsrModule(types.ModuleType):
    """What `import KSR` gives in the tests: one object for the whole run, since adapters keep what they import."""

    fake: FakeKsr | None = None

    def __getattr__(self, name: str) -> object:
        """Give a submodule or a core function."""
        if name.startswith("__"):
            raise AttributeError(name)
        if name in SIGNATURES:
            return self._function(name)
        names = [each.partition(".")[2] for each in SIGNATURES if each.startswith(f"{name}.")]
        assert names, f"Kamailio has no KSR.{name}"
        return _Submodule(name)

    def _function(self, name: str) -> Callable[..., object]:
        def function(*args: object) -> object:
            assert self.fake is not None, f"KSR.{name} was called, but no test uses the fixture `ksr`"
            return self.fake.call(name, args)

        return function


class _Submodule:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Callable[..., object]:
        full_name = f"{self._name}.{name}"
        assert full_name in SIGNATURES, f"Kamailio has no KSR.{full_name}"
        return MODULE._function(full_name)


MODULE = KsrModule("KSR")
sys.modules["KSR"] = MODULE
