"""A "!" in a header field of ours: Kamailio's t_uac_send would cut the field there, and at a second one crash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.stack.talk import Talk

if TYPE_CHECKING:
    from tests.stack.system import System
    from tests.stack.ua import Ua

NOTE = "Hello! You there! !! Really! " + "x" * 50
WHO = '"Anna! B! !!" <sip:anna!b!@example.com>'


def test_fields_with_exclamation_marks_arrive_as_they_are(system: System, agent: Ua) -> None:
    """In the INVITE: those of the target, of the caller and of the agent."""
    invited = {"P-Asserted-Identity": WHO}
    headers = {"X-Note": NOTE, "X-Plain": "plain"}
    with Talk(system, agent, invited=invited, headers=headers) as talk:
        refer = talk.refer(headers={"Referred-By": WHO})
        agent.expect(202, to=refer)
        talk.notified(100)
        invite = talk.target.expect("INVITE")
        assert (invite["X-Note"], invite["X-Plain"]) == (NOTE, "plain")
        assert invite["P-Asserted-Identity"] == WHO
        assert invite["Referred-By"] == WHO
        assert len({name for name, _ in invite.headers}) == len(invite.headers)
        talk.target_answers(invite)
        talk.notified(200, final=True)
        talk.agent_leaves()
        talk.hear_target()
        talk.hang_up_on_target()
        talk.nothing_left()
