"""A caller and an agent who talk through handoff, and a target: how most tests on the stack begin."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from routing.store import StoreError
from rtpengine import Delete, RtpengineError
from tests.stack.rtp import RtpPeer
from tests.stack.ua import Ua
from tests.stack.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from routing.records import Call
    from routing.transfer_record import Transfer
    from tests.stack.dialog import Dialog
    from tests.stack.message import Message
    from tests.stack.system import System

TARGET = "support"
LOST = 3  # packets in a row that nobody hears missing
HALF = 1 << 15  # of the sequence numbers
NUMBER = "+4930123456"
NONE: Mapping[str, str] = MappingProxyType({})


class Talk:
    """Caller, agent and target with RTP; entering it makes the call, and `wire` has seen every message since.

    `caller_voice`, `agent_voice` and `target_voice` send at once and note whom they hear, by SSRC. `invited` and
    `answered` are headers of the caller's INVITE to `number` and of the agent's 200, which has `agent_codecs`; the
    caller says in From that it is `identity`. The target is put in the store unless `add_target` is false: for a call
    while the store is away.
    """

    def __init__(
        self,
        system: System,
        agent: Ua,
        *,
        target: Ua | None = None,
        add_target: bool = True,
        number: str = NUMBER,
        invited: Mapping[str, str] = NONE,
        answered: Mapping[str, str] = NONE,
        agent_codecs: tuple[str, ...] = (),
        identity: str = "",
        **target_settings: object,
    ) -> None:
        self.system = system
        self.agent = agent
        self._number, self._invited, self._answered, self._codecs = number, invited, answered, agent_codecs
        self._identity = identity
        self._stack = ExitStack()
        self._target = target
        self._add_target = add_target
        self._target_settings = target_settings

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        try:
            self.wire = enter(Wire(self.system.port))
            self.caller_voice, self.agent_voice = enter(RtpPeer()), enter(RtpPeer())
            self.target_voice = enter(RtpPeer())
            self.caller = enter(Ua("caller", proxy=self.system.proxy, identity=self._identity))
            self.target = self._target or enter(Ua("target"))
            if self._add_target:
                self.system.add_target(TARGET, self.target.uri, **self._target_settings)
            self.connect()
        except BaseException:
            self._stack.close()
            raise
        return self

    def connect(self) -> None:
        """Make the call; again, when the one before has ended."""
        for voice in (self.caller_voice, self.agent_voice, self.target_voice):
            voice.hush()  # rtpengine may give the ports of the last call to this one
        uri = f"sip:{self._number}@127.0.0.1:{self.system.port}"
        invite = self.caller.invite(uri, sdp=self.caller_voice.sdp("PCMU", "PCMA"), headers=self._invited)
        self.incoming = self.agent.expect("INVITE")
        self.agent.reply(self.incoming, 200, sdp=self.agent_voice.sdp(*self._codecs), headers=self._answered)
        self.answer = self.caller.expect(200, to=invite)
        self.caller.ack(self.answer)
        self.agent.expect("ACK")
        self.caller_voice.talk_to(self.answer.body)
        self.agent_voice.talk_to(self.incoming.body)
        self.hear_each_other()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            print(Wire.trace(self.wire.messages()))
        with suppress(StoreError):
            self._clear_away(self.system.calls())
        self._stack.__exit__(kind, *rest)  # type: ignore[arg-type]

    def _clear_away(self, left: list[Call]) -> None:
        """End what a failed test has left, so that the next one does not fail for it."""
        if not left:
            return
        with suppress(AssertionError):
            self.caller.expect(200, to=self.caller.request("BYE", self.caller_dialog), timeout=0.5)
        self.agent.forget()
        for call in left:
            with suppress(StoreError, RtpengineError):
                self.system.store.lease(call.id).forget()
                self.system.media.request(call.media_node, Delete(call.id))

    def hear_each_other(self) -> None:
        """Wait until caller and agent hear one another, from now on."""
        self._hear(self.agent_voice)

    def hear_target(self) -> None:
        """Wait until caller and target hear one another, from now on."""
        self._hear(self.target_voice)

    def _hear(self, other: RtpPeer) -> None:
        now = time.time()
        self.caller_voice.wait_heard(other.ssrc, since=now)
        other.wait_heard(self.caller_voice.ssrc, since=now)

    @property
    def caller_dialog(self) -> Dialog:
        """The caller's dialog."""
        return self.caller.dialog(self.answer)

    @property
    def agent_dialog(self) -> Dialog:
        """The agent's dialog."""
        return self.agent.dialog(self.incoming)

    def refer(self, target: str = TARGET, *, headers: Mapping[str, str] | None = None) -> Message:
        """Let the agent send REFER; gives the REFER."""
        refer_to = target if "<" in target else f"<sip:{target}@127.0.0.1:{self.system.port}>"
        return self.agent.request("REFER", self.agent_dialog, headers={"Refer-To": refer_to, **(headers or {})})

    def refer_accepted(self) -> Message:
        """Let the agent send REFER, take 202 and the first NOTIFY, and give the INVITE that the target got."""
        self.agent.expect(202, to=self.refer())
        self.notified(100)
        return self.target.expect("INVITE")

    def notified(self, status: int, *, final: bool = False) -> Message:
        """Take the next NOTIFY at the agent and check what it says."""
        notify = self.agent.expect("NOTIFY")
        self.agent.reply(notify, 200)
        assert notify.body.startswith(f"SIP/2.0 {status} "), notify.body
        assert notify["Subscription-State"].startswith("terminated" if final else "active")
        return notify

    def hand_over(self) -> Message:
        """Do a whole blind transfer up to the agent's own BYE; gives the target's INVITE."""
        invite = self.refer_accepted()
        self.target.reply(invite, 180)
        self.notified(180)
        self.target_answers(invite)
        self.notified(200, final=True)
        self.agent_leaves()
        self.hear_target()
        return invite

    def target_answers(self, invite: Message) -> None:
        """Let the target answer, and send its voice."""
        self.target.reply(invite, 200, sdp=self.target_voice.sdp())
        self.target.expect("ACK")
        self.target_voice.talk_to(invite.body)

    def agent_leaves(self) -> None:
        """Let the agent hang up; nobody else is told."""
        self.agent.expect(200, to=self.agent.request("BYE", self.agent_dialog))

    def hang_up(self) -> None:
        """Let the caller hang up on the agent."""
        bye = self.caller.request("BYE", self.caller_dialog)
        self.agent.reply(self.agent.expect("BYE"), 200)
        self.caller.expect(200, to=bye)

    def hang_up_on_target(self) -> None:
        """Let the caller hang up on the target."""
        bye = self.caller.request("BYE", self.caller_dialog)
        self.target.reply(self.target.expect("BYE"), 200)
        self.caller.expect(200, to=bye)

    @property
    def record(self) -> Call:
        """The one record there is."""
        (call,) = self.system.calls()
        return call

    @property
    def last_transfer(self) -> Transfer:
        """The transfer in the call log that was finished last."""
        return self.system.store.finished(1)[0].transfer

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Check that caller and agent hear one another all the while, and that no message reaches the caller."""
        began, messages = time.time(), len(self.wire.messages(to=self.caller.port))
        yield
        self.hear_each_other()
        assert len(self.wire.messages(to=self.caller.port)) == messages
        for ear, voice in ((self.caller_voice, self.agent_voice), (self.agent_voice, self.caller_voice)):
            numbers = [packet.sequence for packet in ear.packets(since=began) if packet.ssrc == voice.ssrc]
            lost = max((b - a + HALF) % (2 * HALF) - HALF - 1 for a, b in pairwise(numbers))  # one may overtake another
            assert lost < LOST, f"{lost} packets in a row were lost"

    def nothing_left(self) -> None:
        """Check that soon Redis and rtpengine hold nothing of the call."""
        self.system.wait_until(lambda: self.system.calls() == [] and self.system.media_calls() == 0)
