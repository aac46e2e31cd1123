"""A REFER that is sent on to the caller's side, which calls the target itself, or does not."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from routing.outcomes import Outcome
from routing.transfer_record import Method
from routing.trunks import Learned, Verdict
from tests.stack.system import System
from tests.stack.talk import Talk
from tests.stack.ua import Ua

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.message import Message

ALLOWED = {"Allow": "INVITE, ACK, BYE, CANCEL, OPTIONS, REFER, NOTIFY"}
TRUNK = "carrier"
SECRET = "not to be seen"
REPORT = {"Event": "refer", "Content-Type": "message/sipfrag;version=2.0"}


@pytest.fixture(scope="module")
def agent_and_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ua, System]]:
    """Give a stack whose trunk has a login, and which does not wait long for reports."""
    secret = tmp_path_factory.mktemp("secrets") / "carrier"
    secret.write_text(f"{SECRET}\n")
    trunk = {"name": TRUNK, "addresses": ["127.0.0.0/8"], "user": "us", "secret": f"file:{secret}"}
    with Ua("agent") as agent:
        agent.allow("OPTIONS")
        with System(agent.uri, trunks=[trunk], transfer={"refer_timeout": 1.0}) as system:
            yield agent, system


class Outwards(Talk):
    """A call whose caller's side may be asked to call the target."""

    def asked(self) -> Message:
        """Let the agent send REFER, and give the one that the caller's side gets."""
        self.agent.expect(202, to=self.refer())
        self.notified(100)
        refer = self.caller.expect("REFER")
        assert refer["Refer-To"] == f"<{self.target.uri}>"
        assert refer["Referred-By"]
        assert refer.call_id == self.caller_dialog.call_id
        return refer

    def report(self, status: int, *, event: str = "refer") -> Message:
        """Let the caller's side tell how its call stands."""
        state = "terminated;reason=noresource" if status >= 200 else "active;expires=60"
        headers = {**REPORT, "Event": event, "Subscription-State": state}
        body = f"SIP/2.0 {status} Whatever\r\n"
        notify = self.caller.request("NOTIFY", self.caller_dialog, body=body, headers=headers)
        return self.caller.final_reply(notify)

    def learned(self) -> Learned | None:
        """Read what is known of the trunk."""
        return Learned.read(self.system.store.trunk(TRUNK))

    def handed_over_by_invite(self) -> None:
        """Check that the target is called and gets the caller, and that the agent is told so once."""
        invite = self.target.expect("INVITE")
        self.target_answers(invite)
        self.notified(200, final=True)
        self.agent_leaves()
        self.hear_target()
        self.hang_up_on_target()
        self.nothing_left()

    def let_go(self) -> None:
        """Take the BYEs to both sides of ours."""
        for side in (self.caller, self.agent):
            side.reply(side.expect("BYE"), 200)
        self.nothing_left()


@pytest.fixture
def talk(system: System, agent: Ua, request: pytest.FixtureRequest) -> Iterator[Outwards]:
    """Give a call from a side that knows REFER, and a target with the method that the test says."""
    system.store.forget_trunk(TRUNK)
    method = getattr(request, "param", Method.AUTO)
    with Outwards(system, agent, invited=ALLOWED, method=method) as talk:
        yield talk


BOTH = pytest.mark.parametrize("talk", [Method.AUTO, Method.REFER], indirect=True)


@BOTH
def test_the_side_that_reports_success_has_the_call_and_ours_is_over(talk: Outwards) -> None:
    talk.caller.reply(talk.asked(), 202)
    assert talk.report(100).status == 200
    assert talk.report(180).status == 200
    talk.notified(180)
    talk.hear_each_other()
    assert talk.report(200).status == 200
    talk.notified(200, final=True)
    talk.let_go()
    assert talk.last_transfer.outcome is Outcome.CONNECTED
    assert [attempt.method for attempt in talk.last_transfer.attempts] == [Method.REFER]
    learned = talk.learned()
    assert learned is not None
    assert learned.verdict is Verdict.WORKS


@pytest.mark.parametrize("status", [403, 405, 501, 603])
def test_what_the_side_refuses_is_done_by_invite_and_it_is_not_asked_again(talk: Outwards, status: int) -> None:
    talk.caller.reply(talk.asked(), status)
    talk.handed_over_by_invite()
    learned = talk.learned()
    assert learned is not None
    assert (learned.verdict, learned.status) == (Verdict.REFUSES, status)
    talk.connect()
    talk.hear_each_other()
    talk.agent.expect(202, to=talk.refer())
    talk.notified(100)
    talk.handed_over_by_invite()


def test_a_side_that_accepts_and_never_reports(talk: Outwards) -> None:
    talk.caller.reply(talk.asked(), 202)
    talk.handed_over_by_invite()
    learned = talk.learned()
    assert learned is not None
    assert learned.verdict is Verdict.SILENT


def test_a_side_that_does_not_answer_at_all(talk: Outwards) -> None:
    talk.caller.allow("REFER")
    talk.asked()
    talk.handed_over_by_invite()
    learned = talk.learned()
    assert learned is not None
    assert learned.verdict is Verdict.SILENT


def test_a_side_that_accepts_and_reports_failure(talk: Outwards) -> None:
    """The caller stays with the agent until our own INVITE is answered; a late report is not wanted any more."""
    talk.caller.reply(talk.asked(), 202)
    talk.report(100)
    talk.hear_each_other()
    talk.report(486)
    invite = talk.target.expect("INVITE")
    assert talk.report(200).status == 481
    talk.target.reply(invite, 486)
    talk.target.expect("ACK")
    talk.notified(486, final=True)
    talk.hear_each_other()
    assert [attempt.method for attempt in talk.last_transfer.attempts] == [Method.REFER, Method.INVITE]
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize("talk", [Method.REFER], indirect=True)
def test_a_report_that_the_final_one_has_overtaken_does_no_harm(talk: Outwards) -> None:
    """Both are sent in one instant, and one worker is faster than the other."""
    talk.caller.reply(talk.asked(), 202)
    assert talk.report(404).status == 200
    assert talk.report(100).status == 200
    talk.notified(404, final=True)
    talk.hear_each_other()
    talk.hang_up()
    talk.nothing_left()


@pytest.mark.parametrize("talk", [Method.REFER], indirect=True)
@pytest.mark.parametrize("status", [403, 603])
def test_by_refer_alone_the_agent_is_told_that_it_was_refused(talk: Outwards, status: int) -> None:
    talk.caller.reply(talk.asked(), status)
    talk.notified(status, final=True)
    talk.hear_each_other()
    talk.hang_up()
    talk.nothing_left()


def test_after_that_the_two_still_have_one_dialog(talk: Outwards) -> None:
    """What we have sent in between has raised the CSeq of the agent's requests, and of their answers nobody hears."""
    talk.system.add_target("support", talk.target.uri, method=Method.REFER)
    talk.caller.reply(talk.asked(), 403)
    talk.notified(403, final=True)
    offer = talk.agent.request("INVITE", talk.agent_dialog, sdp=talk.agent_voice.sdp(version=2))
    seen = talk.caller.expect("INVITE")
    talk.caller.reply(seen, 200, sdp=talk.caller_voice.sdp(version=2))
    talk.agent.ack(talk.agent.expect(200, to=offer))
    talk.caller.expect("ACK")
    talk.hear_each_other()
    talk.hang_up()
    talk.nothing_left()


def test_a_side_that_asks_who_we_are_is_told(talk: Outwards) -> None:
    refer = talk.asked()
    challenge = 'Digest realm="carrier", nonce="n0", algorithm=MD5'
    talk.caller.reply(refer, 401, headers={"WWW-Authenticate": challenge})
    again = talk.caller.expect("REFER")
    assert again.cseq > refer.cseq

    def md5(*parts: str) -> str:
        return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()

    uri = talk.caller.uri
    response = md5(md5("us", "carrier", SECRET), "n0", md5("REFER", uri))
    assert f'response="{response}"' in again["Authorization"], again["Authorization"]
    talk.caller.reply(again, 202)
    talk.report(200, event=f"refer;id={again.cseq}")
    talk.notified(200, final=True)
    talk.let_go()


def test_a_side_whose_phone_does_not_know_refer_is_not_asked(system: System, agent: Ua) -> None:
    system.store.forget_trunk(TRUNK)
    with Outwards(system, agent, invited={"Allow": "INVITE, ACK, BYE"}, method=Method.AUTO) as talk:
        talk.agent.expect(202, to=talk.refer())
        talk.notified(100)
        talk.handed_over_by_invite()


def test_a_report_without_a_status_is_refused_and_the_next_one_taken(talk: Outwards) -> None:
    talk.caller.reply(talk.asked(), 202)
    headers = {**REPORT, "Subscription-State": "active"}
    bad = talk.caller.request("NOTIFY", talk.caller_dialog, body="how nice", headers=headers)
    talk.caller.expect(400, to=bad)
    talk.report(200)
    talk.notified(200, final=True)
    talk.let_go()


@pytest.mark.parametrize("leaves", ["caller", "agent"])
def test_somebody_leaves_while_the_side_has_not_reported(talk: Outwards, leaves: str) -> None:
    talk.caller.reply(talk.asked(), 202)
    if leaves == "caller":
        talk.caller.expect(200, to=talk.caller.request("BYE", talk.caller_dialog))
        talk.notified(487, final=True)
        talk.agent.reply(talk.agent.expect("BYE"), 200)
    else:
        talk.agent_leaves()
        talk.report(200)
        talk.notified(200, final=True)
        talk.caller.reply(talk.caller.expect("BYE"), 200)
    talk.nothing_left()


def test_who_types_handoff_trunks_sees_what_was_learned_and_can_forget_it(talk: Outwards) -> None:
    talk.caller.reply(talk.asked(), 405)
    talk.handed_over_by_invite()
    config = talk.system.folder / "trunks.toml"
    url = talk.system.settings.redis.url
    config.write_text(
        f'[redis]\nurl = "{url}"\n[[trunks]]\nname = "{TRUNK}"\naddresses = ["127.0.0.0/8"]\n'
        f'[[pools]]\nname = "agents"\nnumbers = ["*"]\nagents = [{{uri = "{talk.agent.uri}"}}]\n'
    )

    def type_in(*words: str) -> str:
        command = [sys.executable, "-m", "cli.main", "trunks", "--config", str(config), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert "refused with 405" in type_in()
    (seen,) = json.loads(type_in("--json"))
    assert (seen["name"], seen["refer"]["verdict"]) == (TRUNK, "refuses")
    type_in("--forget", TRUNK)
    assert "not known" in type_in()


def test_a_damaged_entry_counts_as_none(talk: Outwards) -> None:
    talk.system.store.learn_trunk(TRUNK, b"{")
    talk.caller.reply(talk.asked(), 202)
    talk.report(200)
    talk.notified(200, final=True)
    talk.let_go()
