"""Office hours on the real stack: a closed target is not called, by REFER nor by command; its fallback is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.outcomes import Outcome
from routing.records import State
from tests.office import OPEN, closed_now
from tests.stack.talk import TARGET, Talk
from tests.stack.test_commands import ask, refusal
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from tests.stack.system import System

CLOSED = "Geschlossen: wir öffnen um 9 (100 %)"
DAYS = 24 * 3600


def test_the_agent_is_told_that_a_target_is_closed_and_until_when(system: System, agent: Ua) -> None:
    """It gets 480 with the text and Retry-After, no NOTIFY, and goes on talking; the target hears of nothing."""
    with Talk(system, agent, hours=[closed_now()], closed=CLOSED) as talk:
        with talk.undisturbed():
            refused = agent.expect(480, to=talk.refer())
            assert refused.reason == CLOSED
            assert 2 * DAYS < int(refused["Retry-After"]) < 4 * DAYS
        assert talk.record.state is State.TALKING
        assert not talk.wire.messages(to=talk.agent.port, method="NOTIFY")
        assert not talk.wire.messages(to=talk.target.port)
        talk.hang_up()
        talk.nothing_left()


def test_a_command_is_told_when_the_target_opens(system: System, agent: Ua) -> None:
    """In a sentence."""
    with Talk(system, agent, hours=[closed_now()], time_zone="Asia/Tokyo", closed="Come back") as talk:
        text = refusal(system, "transfer", talk.record.id, TARGET)
        assert text.startswith("target support is closed: Come back; support opens ")
        assert text.endswith(" 09:00 (Asia/Tokyo)")
        talk.hang_up()
        talk.nothing_left()


def test_within_its_hours_a_target_is_called(system: System, agent: Ua) -> None:
    """By REFER."""
    with Talk(system, agent, hours=[closed_now(), OPEN]) as talk:
        talk.hand_over()
        talk.hang_up_on_target()
        talk.nothing_left()


def test_the_fallback_is_called_in_the_place_of_a_closed_target(system: System, agent: Ua) -> None:
    """The agent is told of it as of any transfer; the closed target hears of nothing."""
    with Ua("desk") as desk:
        system.add_target("desk", desk.uri, hours=[OPEN])
        with Talk(system, agent, hours=[closed_now()], fallback="desk") as talk:
            closed, talk.target = talk.target, desk
            talk.hand_over()
            (done,) = talk.record.history
            assert (done.target, done.outcome) == ("desk", Outcome.CONNECTED)
            talk.hang_up_on_target()
            talk.nothing_left()
            assert not talk.wire.messages(to=closed.port)


def test_a_command_takes_the_fallback_of_a_closed_target_and_says_so(system: System, agent: Ua) -> None:
    """A fallback that is closed as well is passed over."""
    with Ua("desk") as desk:
        system.add_target("night", "sip:night@127.0.0.1:1", hours=[closed_now()], fallback="desk")
        system.add_target("desk", desk.uri)
        with Talk(system, agent, hours=[closed_now()], fallback="night") as talk:
            answer = ask(system, "transfer", talk.record.id, TARGET)
            assert (answer["ok"], answer["target"]) == (True, "desk")
            desk.reply(desk.expect("INVITE"), 486)
            desk.expect("ACK")
            system.wait_until(lambda: talk.record.state is State.TALKING)
            assert [each.target for each in talk.record.history] == ["desk"]
            talk.hang_up()
            talk.nothing_left()
