"""`handoff trace CALL --sipp`: the parties of a call do it again in SIPp, and the call log has the same again."""

from __future__ import annotations

import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from routing.outcomes import Outcome
from tests.stack.sipp import Sipp, free_port
from tests.stack.system import System
from tests.stack.talk import TARGET, Talk
from tests.stack.tcp_ua import TcpUa
from tests.stack.test_challenges import PASSWORD, USER, asks, challenge
from tests.stack.test_tcp import LONG
from tests.stack.test_trace import trace, tracing
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SLOWER = 1500
"""Milliseconds that a party waits more where it ends the call: on a busy machine the others may not be so far."""


def end(talk: Talk) -> None:
    talk.agent_leaves()
    talk.hear_target()


def caller_hangs_up(talk: Talk) -> None:
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    talk.target_answers(invite)
    talk.notified(200, final=True)
    end(talk)
    talk.hang_up_on_target()


def target_hangs_up(talk: Talk) -> None:
    invite = talk.refer_accepted()
    talk.target_answers(invite)
    talk.notified(200, final=True)
    end(talk)
    bye = talk.target.request("BYE", talk.target.dialog(invite))
    talk.caller.reply(talk.caller.expect("BYE"), 200)
    talk.target.expect(200, to=bye)


def busy(talk: Talk) -> None:
    talk.target.reply(talk.refer_accepted(), 486)
    talk.target.expect("ACK")
    talk.notified(486, final=True)
    talk.hang_up()


def no_answer(talk: Talk) -> None:
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    talk.notified(408, final=True)
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")
    talk.hang_up()


def caller_gives_up(talk: Talk) -> None:
    invite = talk.refer_accepted()
    talk.target.reply(invite, 180)
    talk.notified(180)
    talk.hang_up()
    talk.notified(487, final=True)
    talk.target.reply(talk.target.expect("CANCEL"), 200)
    talk.target.reply(invite, 487)
    talk.target.expect("ACK")


def challenged(status: int) -> Callable[[Talk], None]:
    def ask(talk: Talk) -> None:
        asks(talk.target, talk.refer_accepted(), status, challenge("MD5", "abc"))
        talk.target_answers(talk.target.expect("INVITE"))
        talk.notified(200, final=True)
        end(talk)
        talk.hang_up_on_target()

    return ask


@dataclass(frozen=True)
class Case:
    play: Callable[[Talk], None]
    over_tcp: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


LOGIN = {"user": USER, "secret": f"plain:{PASSWORD}"}
CASES = {
    "the caller hangs up": Case(caller_hangs_up),
    "the person hangs up": Case(target_hangs_up),
    "the person is busy": Case(busy),
    "nobody answers": Case(no_answer, settings={"ring_timeout": 2}),
    "the caller gives up": Case(caller_gives_up),
    "the endpoint asks for a login": Case(challenged(401), settings=LOGIN),
    "a proxy asks for a login": Case(challenged(407), settings=LOGIN),
    "the person is called by TCP": Case(target_hangs_up, over_tcp=True, settings={"headers": LONG}),
}


def add_target(system: System, uri: str, case: Case) -> None:
    login = {name: value for name, value in case.settings.items() if name in LOGIN}
    others = {name: value for name, value in case.settings.items() if name not in LOGIN}
    system.add_target(TARGET, {"uri": uri, **login} if login else uri, **others)


@contextmanager
def target(case: Case) -> Iterator[Ua]:
    with TcpUa("target") if case.over_tcp else Ua("target") as phone:
        yield phone


def recorded(case: Case, monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[tuple[Any, ...]]:
    """Do the call once; its scenarios are in `folder`. Gives what the call log has."""
    with Ua("agent") as agent, target(case) as phone:
        agent.allow("OPTIONS")
        with tracing(agent, monkeypatch) as system, Talk(system, agent, target=phone, add_target=False) as talk:
            add_target(system, phone.uri, case)
            call_id = talk.record.id
            case.play(talk)
            talk.nothing_left()
            found = outcomes(system)
            # Caller and person, or agent, hang up; an agent whose caller was taken over does so by itself before.
            byes = 3 if found[0][0] is Outcome.CONNECTED else 2
            system.wait_until(lambda: trace(call_id).stdout.count("200 OK (BYE)") == byes)
            assert trace(call_id, "--sipp", str(folder)).exit_code == 0
            return found


def outcomes(system: System) -> list[tuple[Any, ...]]:
    return [(logged.transfer.outcome, logged.transfer.status) for logged in system.store.finished(10)]


def wait_longer(path: Path) -> None:
    """Let whoever ends the call do it later."""
    pause = f'<pause milliseconds="{SLOWER}"/>'
    path.write_text(re.sub(r"<send[^>]*><!\[CDATA\[\s*BYE \[next_url\]", rf"{pause}\n  \g<0>", path.read_text()))


@pytest.mark.parametrize("name", CASES)
def test_the_parties_do_it_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    before = recorded(case, monkeypatch, tmp_path)
    for party in ("caller", "leg1"):  # the agent has a second until it is let go
        wait_longer(tmp_path / f"{party}.xml")
    port = free_port()
    with System(f"sip:agent@127.0.0.1:{port}") as again, ExitStack() as stack:
        options = ("-t", "t1") if case.over_tcp else ()
        assert ("-t t1" in (tmp_path / "README.txt").read_text()) == case.over_tcp
        leg = stack.enter_context(Sipp(tmp_path / "leg1.xml", seconds=30, options=options))
        stack.enter_context(Sipp(tmp_path / "agent.xml", remote=again.proxy, port=port, seconds=30))
        add_target(again, leg.uri, case)
        with Sipp(tmp_path / "caller.xml", remote=again.proxy, seconds=30):
            pass
        stack.close()
        again.wait_until(lambda: again.calls() == [])
        assert outcomes(again) == before
