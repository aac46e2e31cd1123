"""Accounts and calls as PJSIP sees them; everything here runs in the engine's thread."""

from __future__ import annotations

import functools
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pjsua2 as pj

from cli.phones.events import (
    DigitHeard,
    Incoming,
    MediaChanged,
    PhoneError,
    Referred,
    Registered,
    ReplyReceived,
    RequestReceived,
    State,
    StateChanged,
    TransferProgress,
)
from cli.phones.texts import keep_codecs, notified_status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cli.phones.engine import Engine

_RTP_PORTS = 100
LOOPBACK = "127.0.0.1"

_STATES = {
    pj.PJSIP_INV_STATE_CALLING: State.CALLING,
    pj.PJSIP_INV_STATE_INCOMING: State.INCOMING,
    pj.PJSIP_INV_STATE_EARLY: State.EARLY,
    pj.PJSIP_INV_STATE_CONNECTING: State.CONNECTING,
    pj.PJSIP_INV_STATE_CONFIRMED: State.CONFIRMED,
    pj.PJSIP_INV_STATE_DISCONNECTED: State.DISCONNECTED,
}


@dataclass(frozen=True, slots=True)
class Login:
    """Where a phone registers: `uri` is that of its user, `registrar` the host:port that it sends REGISTER to."""

    uri: str
    password: str
    registrar: str


@dataclass(frozen=True, slots=True)
class Line:
    """Where a phone is reached, and over what; `certificate` and `key` are PEM files, for TLS.

    With `srtp`, it encrypts where the other side has keys, or asks for it. With the URI of a `registrar`, it registers
    there.
    """

    transport: str = "udp"
    address: str = LOOPBACK
    port: int = 0
    certificate: Path | None = None
    key: Path | None = None
    srtp: bool = False
    registrar: str = ""
    login: Login | None = None

    def uri(self, name: str, port: int) -> str:
        """Give the URI of the phone."""
        scheme = "sips" if self.transport == "tls" else "sip"
        return f"{scheme}:{name}@{self.address}:{port}{';transport=tcp' if self.transport == 'tcp' else ''}"


@dataclass(slots=True)
class CallNotes:
    """What is still known of a call that has ended."""

    sip_call_id: str = ""
    recording_since: float | None = None


def options(code: int = 0, headers: Mapping[str, str] | None = None, body: str = "", content_type: str = "") -> Any:
    """Build the parameters that most operations of a call take."""
    parameters = pj.CallOpParam(True)
    parameters.statusCode = code
    fill(parameters.txOption, headers, body, content_type)
    return parameters


def fill(message: Any, headers: Mapping[str, str] | None, body: str = "", content_type: str = "") -> None:
    """Put extra headers and a body on a message that PJSIP is to send."""
    vector = pj.SipHeaderVector()
    for name, value in (headers or {}).items():
        header = pj.SipHeader()
        header.hName, header.hValue = name, value
        vector.append(header)
    message.headers = vector
    message.msgBody = body
    message.contentType = content_type


def _safe(callback: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """Keep exceptions out of PJSIP, which would abort the process; `Phones` raises them at its end."""

    @functools.wraps(callback)
    def safe(self: Any, prm: Any) -> None:
        try:
            callback(self, prm)
        except Exception as error:  # noqa: BLE001 - told by Engine.stop
            self.engine.trouble.append(f"{callback.__qualname__}: {type(error).__name__}: {error}")

    return safe


class EngineAccount(pj.Account):  # type: ignore[misc]
    """A phone: its own transport, RTP ports, voice and answering habits."""

    def __init__(self, engine: Engine, name: str, codecs: tuple[str, ...], line: Line, tone: Path) -> None:
        super().__init__()
        self.engine = engine
        self.name = name
        self.codecs = codecs
        self.rings = True
        self.answers_after: float | None = None
        self.answers_with = 200
        transport, self.port = engine.make_transport(line)
        self.create(_account_settings(name, line, self.port, transport))
        self.voice: Any = pj.AudioMediaPlayer()
        self.voice.createPlayer(str(tone))

    @_safe
    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802
        """Ring and answer by habit."""
        call = EngineCall(self.engine, self, prm.callId)
        self.engine.journal.post(Incoming(phone=self.name, call=call.number, message=prm.rdata.wholeMsg))
        if self.rings:
            call.answer(options(180))
        if self.answers_after is not None:
            code = self.answers_with
            self.engine.after(self.answers_after, lambda: call.answer_if_waiting(code))

    @_safe
    def onRegState(self, prm: Any) -> None:  # noqa: N802
        """Tell what the registrar says."""
        self.engine.journal.post(Registered(phone=self.name, call=0, code=prm.code))

    def close(self) -> None:
        """Give up the voice and the account."""
        self.engine.graveyard.append(self.voice)
        self.voice = None
        self.shutdown()


class EngineCall(pj.Call):  # type: ignore[misc]
    """A call with its ear."""

    def __init__(self, engine: Engine, account: EngineAccount, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(account, call_id)
        self.engine = engine
        self.account = account
        self.number = engine.number()
        self.recording = engine.folder / f"{account.name}.{self.number}.wav"
        self.recorder: Any = None
        self.notes = engine.notes[self.number] = CallNotes()
        engine.calls[self.number] = self
        if call_id != pj.PJSUA_INVALID_ID:
            self.note_call_id()

    def note_call_id(self) -> None:
        """Keep the Call-ID for those who ask when the call is over."""
        self.notes.sip_call_id = self.getInfo().callIdString

    def answer_if_waiting(self, code: int) -> None:
        """Answer unless the caller has given up meanwhile."""
        if self.number in self.engine.calls and self.getInfo().state in {
            pj.PJSIP_INV_STATE_INCOMING,
            pj.PJSIP_INV_STATE_EARLY,
        }:
            self.answer(options(code))

    def drop_recorder(self) -> None:
        """Let the recorder go: it writes the WAV header with the length when it is destroyed."""
        if self.recorder is not None:
            self.engine.graveyard.append(self.recorder)
            self.recorder = None

    def where(self) -> tuple[str, str, str, str]:
        """Return codec, own RTP address, peer's RTP address by its SDP, and the address RTP came from last."""
        info = self.getInfo()  # must outlive its `media`, which points into it
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO:
                stream = self.getStreamInfo(index)
                transport = self.getMedTransportInfo(index)
                return stream.codecName, transport.localRtpName, stream.remoteRtpAddress, transport.srcRtpName
        raise PhoneError(f"{self.account.name}: the call has no audio")

    @_safe
    def onCallState(self, prm: Any) -> None:  # noqa: ARG002, N802
        """Tell the new state, and let a dead call go."""
        info = self.getInfo()
        state = _STATES.get(info.state)
        if state is None:
            return
        if state is State.DISCONNECTED:
            self.drop_recorder()
            self.engine.graveyard.append(self)
            self.engine.calls.pop(self.number, None)
        self._post(StateChanged, state=state, code=info.lastStatusCode, reason=info.lastReason)

    @_safe
    def onCallMediaState(self, prm: Any) -> None:  # noqa: ARG002, N802
        """Connect voice and ear."""
        info = self.getInfo()  # must outlive its `media`, which points into it
        for index, media in enumerate(info.media):
            if media.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            sending = bool(media.dir & pj.PJMEDIA_DIR_ENCODING)
            hearing = bool(media.dir & pj.PJMEDIA_DIR_DECODING)
            if media.status != pj.PJSUA_CALL_MEDIA_NONE and media.audioConfSlot != pj.PJSUA_INVALID_ID:
                self._connect(self.getAudioMedia(index))
            self._post(MediaChanged, sending=sending, hearing=hearing)

    def _connect(self, audio: Any) -> None:
        if self.recorder is None:
            self.recorder = self.engine.new_recorder(self.recording)
            self.notes.recording_since = time.time()
        self.account.voice.startTransmit(audio)
        audio.startTransmit(self.recorder)

    @_safe
    def onCallSdpCreated(self, prm: Any) -> None:  # noqa: N802
        """Leave only the phone's own codecs."""
        prm.sdp.wholeSdp = keep_codecs(prm.sdp.wholeSdp, self.account.codecs)

    @_safe
    def onCallTsxState(self, prm: Any) -> None:  # noqa: N802
        """Tell requests and replies as they come in."""
        event = prm.e.body.tsxState
        if event.type != pj.PJSIP_EVENT_RX_MSG:
            return
        tsx, message = event.tsx, event.src.rdata.wholeMsg
        if tsx.role == pj.PJSIP_ROLE_UAC and tsx.statusCode >= 200 and event.prevState != tsx.state:
            self._post(ReplyReceived, method=tsx.method, code=tsx.statusCode, message=message)
        elif tsx.role == pj.PJSIP_ROLE_UAS and tsx.state == pj.PJSIP_TSX_STATE_TRYING:
            self._post(RequestReceived, method=tsx.method, message=message)
            if tsx.method == "NOTIFY" and (status := notified_status(message)):
                code, reason, final = status
                self._post(TransferProgress, code=code, reason=reason, final=final)

    @_safe
    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: N802
        """Accept to be transferred."""
        self._post(Referred, to=prm.dstUri)
        prm.newCall = EngineCall(self.engine, self.account)

    @_safe
    def onCallReplaceRequest(self, prm: Any) -> None:  # noqa: N802
        """Take the call that is to replace this one; PJSIP answers it, and ends this one."""
        call = EngineCall(self.engine, self.account)
        prm.newCall = call
        self.engine.journal.post(Incoming(phone=self.account.name, call=call.number, message=prm.rdata.wholeMsg))

    @_safe
    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802
        """Tell the digit."""
        self._post(DigitHeard, digit=prm.digit)

    def _post(self, kind: Callable[..., Any], **fields: Any) -> None:
        self.engine.journal.post(kind(phone=self.account.name, call=self.number, **fields))


def _account_settings(name: str, line: Line, port: int, transport: int) -> Any:
    config = pj.AccountConfig()
    config.idUri = line.uri(name, port)
    config.regConfig.registrarUri = line.registrar
    config.sipConfig.transportId = transport
    config.natConfig.contactRewriteUse = 0
    config.natConfig.sipOutboundUse = 0
    # Off: a caller that locks the codec sends an UPDATE of its own after each answer with several codecs.
    config.mediaConfig.lockCodecEnabled = False
    config.mediaConfig.srtpUse = pj.PJMEDIA_SRTP_OPTIONAL if line.srtp else pj.PJMEDIA_SRTP_DISABLED
    config.mediaConfig.srtpSecureSignaling = 0
    if line.login:
        _register(config, line.login)
    rtp = config.mediaConfig.transportConfig
    rtp.boundAddress = rtp.publicAddress = line.address
    rtp.port, rtp.portRange = _rtp_port(line.address), _RTP_PORTS
    return config


def _register(config: Any, login: Login) -> None:
    user, _, domain = login.uri.partition(":")[2].partition("@")
    config.idUri = login.uri
    config.regConfig.registrarUri = f"sip:{domain}"
    config.sipConfig.proxies.append(f"sip:{login.registrar};lr")
    config.sipConfig.authCreds.append(pj.AuthCredInfo("digest", "*", user, 0, login.password))


def _rtp_port(address: str) -> int:
    """Ask the kernel for a free port with room for the phone's other RTP ports above it."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind((address, 0))
            port: int = free.getsockname()[1] & ~1
        if port + _RTP_PORTS < 1 << 16:
            return port
