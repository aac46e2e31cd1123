"""Attended transfers: which call of the agent a Replaces may name, and where the person is then called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from kemi.consultations import attend
from kemi.message import SipError, name_call
from kemi.transfers import Transfers
from routing.dialog import Dialog
from routing.outcomes import Mode
from routing.records import Call, Party, State
from routing.settings import make_settings
from routing.store import MemoryStore
from routing.targets import Target
from routing.values import ReferTo
from rtpengine import FakeRtpengine
from tests.kemi.calls import anchored

if TYPE_CHECKING:
    from kemi.consultations import Attended
    from kemi.context import Context
    from tests.fake_ksr import FakeKsr

POOL = {"name": "p", "numbers": ["*"], "agents": [{"uri": "sip:a@127.0.0.1"}]}
DESK = {"name": "desk", "endpoints": ["sip:person@127.0.0.1"], "mode": "message", "accept": "1", "ring_timeout": 7}
REFER_TO = "<sip:desk@handoff?Replaces=second%3Bto-tag%3Dperson-tag%3Bfrom-tag%3Dagent-tag>"


def dialog(who: str, other: str, **changes: object) -> Dialog:
    """Make one side of the consultation."""
    made = Dialog(
        call_id="second",
        local=f"<sip:{other}@127.0.0.1>",
        local_tag=f"{other}-tag",
        remote=f"<sip:{who}@127.0.0.1>",
        remote_tag=f"{who}-tag",
        remote_target=f"sip:{who}@127.0.0.1:5070",
    )
    return made.model_copy(update=changes)


def consultation(**changes: object) -> Call:
    """Make the call in which agent and person talk."""
    told: dict[str, object] = {
        "id": name_call("second"),
        "caller": dialog("agent", "person"),
        "agent": dialog("person", "agent", routes=("<sip:one@h;lr>", "<sip:two@h;lr>")),
        "pool": "desk",
        "may_refer": False,
        "takes_replaces": True,
    }
    return anchored(FakeRtpengine()).model_copy(update=told | changes)


def attended(call: Call, *targets: dict[str, object]) -> Attended:
    """Let the agent of another call ask for the transfer."""
    store, settings = MemoryStore(), make_settings({"pools": [POOL]})
    for target in targets:
        store.put_target(str(target["name"]), Target.make(target).to_json())
    store.create(call)
    parts = SimpleNamespace(transfers=Transfers(settings, store), store=store, settings=settings)
    return attend(cast("Context", parts), anchored(FakeRtpengine()), Party.AGENT, ReferTo.parse(REFER_TO))


def refused(call: Call) -> int:
    """Give the status of a refusal."""
    with pytest.raises(SipError) as caught:
        attended(call, DESK)
    return caught.value.status


def test_the_person_is_called_at_its_contact_along_its_routes(ksr: FakeKsr) -> None:
    """With the settings of the target, but to hear nothing before the caller."""
    del ksr
    found = attended(consultation(), DESK)
    assert found.place is not None
    assert (found.place.uri, found.place.ring_timeout) == ("sip:person@127.0.0.1:5070", 7.0)
    assert found.place.route == "<sip:one@h;lr>, <sip:two@h;lr>"
    assert found.headers == {"Replaces": "second;to-tag=person-tag;from-tag=agent-tag", "Require": "replaces"}
    assert (found.target.name, found.target.mode, found.target.accept) == ("desk", Mode.BLIND, None)
    assert found.consultation == name_call("second")


def test_a_person_without_a_target_is_called_as_the_settings_say(ksr: FakeKsr) -> None:
    """The policy let the agent call it; a phone that has not said that it knows Replaces need not."""
    del ksr
    found = attended(consultation(pool="someone", takes_replaces=False))
    assert (found.target.name, found.target.ring_timeout) == ("someone", 30.0)
    assert "Require" not in found.headers


def test_what_another_agent_talks_about_is_none_of_this_ones_business(ksr: FakeKsr) -> None:
    """Whoever knows the tags must be at the same host, too."""
    del ksr
    elsewhere = dialog("agent", "person", remote_target="sip:agent@127.0.0.9")
    assert refused(consultation(caller=elsewhere)) == 403
    assert refused(consultation(agent=None)) == 403


def test_a_call_that_is_being_transferred_itself_is_not_replaced(ksr: FakeKsr) -> None:
    """Until that has ended."""
    del ksr
    assert refused(consultation(state=State.RINGING)) == 491


def test_a_contact_that_cannot_be_called_is_refused(ksr: FakeKsr) -> None:
    """As in a Refer-To."""
    del ksr
    odd = dialog("person", "agent", remote_target="sip:person@127.0.0.1;transport=sctp")
    assert refused(consultation(agent=odd)) == 501
