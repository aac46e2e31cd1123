"""The real rtpengine keeps the contract that the in-memory one keeps, and its media go where handoff says."""

from __future__ import annotations

import secrets
import socket
import subprocess
import threading
from collections import deque
from typing import TYPE_CHECKING, Self

import pytest

from rtpengine import Answer, Codecs, CommandRefused, MediaPool, Offer, Pool, Query
from rtpengine.sdp import widen
from tests.rtpengine.contract import Call, MediaPoolContract
from tests.rtpengine.contract_call import ALL
from tests.rtpengine.sdp import media, sdp

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 10.0
PORTS = ("--port-min=24000", "--port-max=24999")  # below those that the kernel gives to others


class Daemon:
    """An rtpengine of our own on loopback, without its kernel module; a context manager."""

    def __init__(self, *options: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._command = ["rtpengine", "--config-file=none", "--foreground", "--log-stderr", "--log-level=6"]
        self._command += ["--table=-1", "--num-threads=1", "--interface=127.0.0.1", f"--listen-ng={self.address}"]
        self._command += [*PORTS, *options]
        self._lines: deque[str] = deque()
        self._news = threading.Condition()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True, errors="replace")
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.awaits("Startup complete")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._reader.join()

    def awaits(self, text: str) -> None:
        """Wait for a line of the log with `text` in it; fail after ten seconds."""
        with self._news:
            assert self._news.wait_for(lambda: any(text in line for line in self._lines), PATIENCE), (
                f"rtpengine did not log {text!r}, but:\n{''.join(self._lines)}"
            )

    def _read(self) -> None:
        assert self._process.stderr
        with self._process.stderr as lines:
            for line in lines:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()


class Phone:
    """One end of an RTP stream that sends and hears single packets; a context manager."""

    def __init__(self, ssrc: int) -> None:
        self.ssrc = ssrc
        self.remote = ("127.0.0.1", 0)
        self._sequence = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def sdp(self) -> str:
        return sdp(self._socket.getsockname()[1])

    def talk_to(self, text: str) -> None:
        """Send to the port of this SDP from now on."""
        self.remote = ("127.0.0.1", media(text)[0])

    def say(self) -> None:
        """Send 20 ms of PCMU (RFC 3550, RFC 3551)."""
        self._sequence += 1
        header = bytes([0x80, 0]) + self._sequence.to_bytes(2) + (160 * self._sequence).to_bytes(4)
        self._socket.sendto(header + self.ssrc.to_bytes(4) + bytes(160), self.remote)

    def hear(self) -> int:
        """Wait for a packet and give its SSRC."""
        return int.from_bytes(self._socket.recv(2000)[8:12])


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as daemon:
        yield daemon


@pytest.fixture
def pool(daemon: Daemon) -> Iterator[MediaPool]:
    pool = Pool({"media1": daemon.address}, deadline=2.0)
    yield pool
    pool.close()


class TestRtpengine(MediaPoolContract):
    """The contract that the in-memory rtpengine keeps too."""


def talk(call: Call, caller: Phone, agent: Phone) -> None:
    agent.talk_to(call.offer("caller", caller.sdp))
    caller.talk_to(call.answer("caller", "agent", agent.sdp))


def assert_talking(one: Phone, other: Phone) -> None:
    one.say()
    assert other.hear() == one.ssrc
    other.say()
    assert one.hear() == other.ssrc


def test_a_second_answer_takes_the_audio_from_the_first_agent_to_the_second(pool: MediaPool) -> None:
    call = Call(pool, secrets.token_hex(8))
    with Phone(1) as caller, Phone(2) as first, Phone(3) as second:
        talk(call, caller, first)
        assert_talking(caller, first)
        second.remote = first.remote
        caller.talk_to(call.answer("caller", "agent", second.sdp))
        assert_talking(caller, second)


def test_the_bridge_takes_the_audio_from_the_agent_to_the_target_and_the_caller_is_told_nothing(
    pool: MediaPool,
) -> None:
    call = Call(pool, secrets.token_hex(8))
    with Phone(1) as caller, Phone(2) as agent, Phone(3) as target:
        talk(call, caller, agent)
        target.talk_to(call.offer("shadow1", sdp(9)))
        assert_talking(caller, agent)
        call.answer("shadow1", "leg1", target.sdp)
        assert_talking(caller, agent)
        call.offer("caller", caller.sdp, "leg1")
        call.answer("caller", "leg1", target.sdp)
        call.delete("shadow1")
        call.delete("agent")
        agent.say()
        assert_talking(caller, target)
        call.delete()


@pytest.mark.parametrize("events", [97, 96])
@pytest.mark.parametrize(("voice", "codec", "clock"), [(0, "PCMU/8000", 8000), (111, "opus/48000/2", 48000)])
def test_opus_and_dtmf_events_of_each_clock_rate_are_numbered_as_rtpengine_numbers_them(
    pool: MediaPool, voice: int, codec: str, clock: int, events: int
) -> None:
    lines = (f"a=rtpmap:{voice} {codec}", f"a=rtpmap:{events} telephone-event/{clock}")
    offer = sdp(9).replace("AVP 0", f"AVP {voice} {events}").replace("a=rtpmap:0 PCMU/8000", "\r\n".join(lines))
    call = Call(pool, secrets.token_hex(8))
    plain = call.offer("shadow1", offer)
    told = call.offer("shadow1", offer, codecs=Codecs.adding(ALL))
    written = widen(plain, ALL)
    assert media(written) == media(told)
    assert sorted(written.split()) == sorted(told.split())
    call.delete()


def test_a_query_tells_who_sent_how_much_and_who_never_did(pool: MediaPool) -> None:
    call = Call(pool, secrets.token_hex(8))
    with Phone(1) as caller, Phone(2) as agent:
        talk(call, caller, agent)
        for _ in range(3):
            caller.say()
            agent.hear()
        answer = pool.request("media1", Query(call.id))
    sender, silent = answer.tags["caller"], answer.tags["agent"]
    assert (sender.packets, sender.codecs) == (3, ("PCMU/8000",))
    assert 0 <= sender.last_packet - answer.created < PATIENCE
    assert [stream.bytes for stream in sender.streams if not stream.rtcp] == [3 * 172]
    assert (silent.packets, silent.last_packet, silent.codecs) == (0, 0, ())


def test_a_call_without_media_ends_and_is_then_unknown() -> None:
    with Daemon("--timeout=1") as daemon:
        pool = Pool({"media1": daemon.address}, deadline=2.0)
        pool.request("media1", Offer("c1", "caller", sdp(20000)))
        pool.request("media1", Answer("c1", "caller", "agent", sdp(20002)))
        daemon.awaits("Closing call due to timeout")
        for command in (Query("c1"), Answer("c1", "caller", "agent", sdp(20002))):
            with pytest.raises(CommandRefused, match="Unknown call-id"):
                pool.request("media1", command)
        pool.close()


def test_texts_beyond_ascii_pass_unharmed(pool: MediaPool) -> None:
    call = Call(pool, secrets.token_hex(8))
    assert "s=Zoë ☎\r\n" in call.offer("caller", sdp(20000).replace("s=-", "s=Zoë ☎"))
