"""What a target is told of the caller and of the way the call has taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from routing.diversion import Divert, Why
from routing.identity import LINE, caller_sender, diversion, identity_fields, other_headers
from routing.name_addr import ANONYMOUS
from routing.outcomes import Outcome
from routing.transfer_record import Leg
from tests.routing.calls import CALL_ID, talking, transfer

if TYPE_CHECKING:
    from routing.records import Call
    from routing.transfer_record import Transfer

CALLED, CALLER = "sip:agent@example.com", "<sip:caller@example.com>"
ASSERTED, SIGNATURE = "<tel:+4930555>", "eyJ.eyJ.c2ln;info=<https://c.example>"


def call(**identity: str) -> Call:
    """Make a call whose INVITE had these header fields, - for _."""
    named = {name.replace("_", "-"): value for name, value in identity.items()}
    return talking().model_copy(update={"identity": named})


def to_person(sender: str = CALLER) -> Leg:
    """Make a leg that speaks as somebody."""
    return Leg(
        number=1, uri="sip:person@h", call_id=f"{CALL_ID}-1", tag="t", sender=sender, started_at=1.0, ring_until=30.0
    )


def diverted(the_call: Call, divert: Divert, why: Why = Why.DEFLECTION, *, number: str = "1") -> Transfer:
    """Make a transfer to a target that wants to be told of the handover."""
    headers = {"X-A": "1", **diversion(the_call, divert, why)}
    return transfer().model_copy(update={"headers": headers, "id": f"{CALL_ID}-{number}"})


@pytest.mark.parametrize(
    ("privacy", "fields"),
    [
        ("", ["P-Asserted-Identity", "Identity", "Diversion", "History-Info"]),
        ("none", ["P-Asserted-Identity", "Identity", "Privacy: none", "Diversion", "History-Info"]),
        ("id", ["P-Asserted-Identity", "Identity", "Privacy: id", "Diversion", "History-Info"]),
        ("session", ["P-Asserted-Identity", "Identity", "Diversion", "History-Info"]),
        ("user", ["Diversion", "History-Info"]),
        ("USER , id;critical", ["Privacy: id", "Diversion", "History-Info"]),
        ("header", []),
        ("history", ["P-Asserted-Identity", "Identity"]),
        ("full", []),
    ],
)
def test_what_the_caller_wants_to_be_hidden_is(privacy: str, fields: list[str]) -> None:
    given = {"Diversion": "<sip:d@h>", "History_Info": "<sip:d@h>;index=1", "Privacy": privacy}
    known = call(P_Asserted_Identity=ASSERTED, Identity=SIGNATURE, **{k: v for k, v in given.items() if v})
    sent = identity_fields(known, transfer(), to_person(caller_sender(known)))
    assert sorted(line if line.startswith("Privacy") else line.partition(":")[0] for line in sent) == sorted(fields)


@pytest.mark.parametrize(
    ("privacy", "anonymous"), [("user", True), ("full;id", True), ("id", False), ("header", False)]
)
def test_the_sender_is_anonymous_where_the_caller_wants_it(privacy: str, anonymous: bool) -> None:
    assert caller_sender(call(Privacy=privacy)) == (ANONYMOUS if anonymous else CALLER)


def test_another_identity_gets_nothing_of_the_callers_but_the_history() -> None:
    known = call(P_Asserted_Identity=ASSERTED, Identity=SIGNATURE, Privacy="id", Diversion="<sip:d@h>")
    assert identity_fields(known, transfer(), to_person("<sip:agent@h>")) == ["Diversion: <sip:d@h>"]


def test_each_of_several_fields_is_sent() -> None:
    known = call(P_Asserted_Identity=f"{ASSERTED}{LINE}<sip:a@h>")
    sent = [f"P-Asserted-Identity: {ASSERTED}", "P-Asserted-Identity: <sip:a@h>"]
    assert identity_fields(known, transfer(), to_person()) == sent


# --- our own entry ---------------------------------------------------------------------------------------------------


def history(theirs: str, why: Why = Why.DEFLECTION) -> list[str]:
    """Give the entries of History-Info when these came with the call."""
    known = call(History_Info=theirs) if theirs else call()
    (line,) = identity_fields(known, diverted(known, Divert.HISTORY_INFO, why), to_person())
    return line.removeprefix("History-Info: ").split(", ")


OWN = f"<{CALLED}?Reason=SIP%3Bcause%3D302>"


@pytest.mark.parametrize(
    ("theirs", "entries"),
    [
        ("", [f"{OWN};index=1", "<sip:person@h>;index=1.1;mp=1"]),
        (
            f"<sip:d@h>;index=1, <{CALLED}>;index=1.1;rc=1",
            ["<sip:d@h>;index=1", f"{OWN};index=1.1;rc=1", "<sip:person@h>;index=1.1.1;mp=1.1"],
        ),
        (
            f"<sip:d@h>;index=1{LINE}<{CALLED}?Privacy=history>; Index = 1.2",
            ["<sip:d@h>;index=1", f"{OWN}; Index = 1.2", "<sip:person@h>;index=1.2.1;mp=1.2"],
        ),
        (
            "<sip:d@h>;index=1.3",
            ["<sip:d@h>;index=1.3", f"{OWN};index=1.3.0.1", "<sip:person@h>;index=1.3.0.1.1;mp=1.3.0.1"],
        ),
        (f"<{CALLED}>", [f"<{CALLED}>", f"{OWN};index=1", "<sip:person@h>;index=1.1;mp=1"]),
    ],
)
def test_history_info_goes_on_where_it_ended(theirs: str, entries: list[str]) -> None:
    assert history(theirs) == entries


def test_out_of_hours_the_reason_is_the_time_of_day() -> None:
    assert "cause%3D480" in history("", Why.TIME_OF_DAY)[0]
    known = call()
    wanted = diverted(known, Divert.DIVERSION, Why.TIME_OF_DAY)
    assert identity_fields(known, wanted, to_person()) == [f"Diversion: <{CALLED}>;reason=time-of-day"]


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Outcome.BUSY, "user-busy"),
        (Outcome.NO_ANSWER, "no-answer"),
        (Outcome.UNREACHABLE, "unavailable"),
        (Outcome.REJECTED, "unknown"),
    ],
)
def test_a_fallback_is_told_what_became_of_the_target_before_it(outcome: Outcome, word: str) -> None:
    failed = transfer().model_copy(update={"id": f"{CALL_ID}-1", "outcome": outcome})
    known = call(Diversion="<sip:d@h>").model_copy(update={"history": (failed,)})
    fallback = diverted(known, Divert.DIVERSION, number="1f")
    assert identity_fields(known, fallback, to_person()) == [f"Diversion: <{CALLED}>;reason={word}, <sip:d@h>"]
    another = diverted(known, Divert.DIVERSION, number="2")
    assert identity_fields(known, another, to_person())[0].endswith(">;reason=deflection, <sip:d@h>")


def test_without_the_setting_there_is_no_entry_and_where_the_caller_wants_none_neither() -> None:
    assert diversion(call(), Divert.NONE, Why.DEFLECTION) == {}
    for privacy in ("header", "history", "full"):
        assert diversion(call(Privacy=privacy), Divert.DIVERSION, Why.DEFLECTION) == {}


def test_our_entry_is_no_header_field_of_its_own() -> None:
    for divert in Divert:
        assert other_headers(diverted(call(), divert)) == {"X-A": "1"}
