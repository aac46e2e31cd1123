"""The speech engine is missing, slow or failing: the person hears the fixed message, and the transfer goes on."""

from __future__ import annotations

import time

import pytest

from cli.speech.sound_file import duration
from routing.outcomes import Outcome
from routing.records import State
from routing.speech import file_of
from routing.transfer_record import Sound, Standard
from tests.stack.audio import decode_all, read
from tests.stack.correlate import locate
from tests.stack.system import System
from tests.stack.talk import TARGET
from tests.stack.test_metrics import Scrape
from tests.stack.ua import PATIENCE, Ua
from tests.stack.warm_talk import SHORT, WarmTalk

SPEAK = "espeak-ng -b 1 -v {voice} --stdin -w {file}"
SLOW = f"sh -c 'text=$(cat); case $text in Nobody*) sleep 10;; esac; echo \"$text\" | {SPEAK}'"
MOST = 0.85
"""Part of a text that is found again: all but the silence between its words."""
QUICK = {"missing", "failing"}
"""They have failed before anybody waits for them."""
ENGINES = {"missing": "/nowhere/engine {file}", "slow": SLOW, "failing": "false {file}"}


@pytest.mark.parametrize("engine", ENGINES)
def test_the_person_hears_the_fixed_message(engine: str) -> None:
    """The ring is not delayed, the deadline counts from the answer, and metric and log say what happened."""
    speech = SHORT | {"command": ENGINES[engine], "deadline": 60.0 if engine in QUICK else 1.0}
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        with System(agent.uri, sidecar=True, speech=speech) as system, WarmTalk(system, agent) as talk:
            referred = time.time()
            talk.refer_warm(message="Nobody will ever say this.")
            invite = talk.invited()
            assert time.time() - referred < 1.0, "the target rings at once"
            talk.target_answers(invite)
            answered = time.time()
            talk.reaches(State.BRIEFING)
            talk.connected(agent_stays=True)
            fixed = duration(file_of(system.settings.speech, Standard.MESSAGE))
            waited = time.time() - answered - fixed
            assert waited > (0.0 if engine in QUICK else 1.0), "slow speech is waited for, and the message heard out"
            assert talk.last_transfer.outcome is Outcome.CONNECTED
            assert talk.last_transfer.fixed
            assert (
                "the speech was not there in time: the person hears the fixed message"
                in system.kamailio.log.read_text()
            )
            assert Scrape(system).value("handoff_fixed_messages_total") == 1
            talk.hang_up_on_target()
            talk.nothing_left()


def test_speech_is_asked_for_while_the_target_rings_so_that_nobody_waits_for_it() -> None:
    """It is there before the answer; the person hears it right after the pause."""
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        with System(agent.uri, sidecar=True, speech=SHORT) as system, WarmTalk(system, agent) as talk:
            talk.refer_warm(message="A text that was never spoken before.")
            invite = talk.invited()
            plan = talk.record.transfer
            assert plan is not None
            assert plan.message is not None
            spoken = file_of(system.settings.speech, plan.message)
            system.wait_until(spoken.exists)
            talk.target_answers(invite)
            talk.connected(agent_stays=True)
            assert not talk.last_transfer.fixed
            talk.hang_up_on_target()
            talk.nothing_left()


def test_a_summary_of_800_letters_is_heard_whole() -> None:
    """Many of them are not ASCII; the engine speaks fast, so that it does not take a minute."""
    words = "Żółć! Frau Müller möchte 100 % zurück, grüßt herzlich aus Łódź. "
    summary = (words * 13)[:799] + "."
    speech = SHORT | {"command": "espeak-ng -b 1 -s 450 -v {voice} --stdin -w {file}", "language": "de"}
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        with System(agent.uri, sidecar=True, speech=speech) as system, WarmTalk(system, agent) as talk:
            system.add_target(TARGET, talk.target.uri, mode="summary", pause_before=0.2, pause_after=0.2)
            refer_to = f"<sip:{TARGET}@127.0.0.1:{system.port}>"
            text = {"Refer-To": refer_to, "Content-Type": "text/plain;charset=UTF-8"}
            refer = agent.request("REFER", talk.agent_dialog, headers=text, body=summary)
            agent.expect(202, to=refer)
            talk.notified(100)
            invite = talk.invited()
            spoken = file_of(system.settings.speech, Sound(text=summary))
            system.wait_until(spoken.exists)
            talk.target_answers(invite)
            notify = agent.expect("NOTIFY", timeout=duration(spoken) + PATIENCE)
            agent.reply(notify, 200)
            talk.agent_leaves()
            packets = [packet for packet in talk.target_voice.packets() if packet.ssrc != talk.caller_voice.ssrc]
            found = locate(decode_all(packets), read(spoken))
            assert found is not None
            assert found.end - found.start == pytest.approx(duration(spoken), abs=0.1)
            assert found.part > MOST
            assert not talk.last_transfer.fixed
            talk.hang_up_on_target()
            talk.nothing_left()
