"""A target is a checked destination; what is wrong with one is told in clear sentences."""

from __future__ import annotations

import json
from typing import Any

import pytest

from routing.outcomes import Mode
from routing.settings import make_settings
from routing.target_fields import check_summary, parse_mode
from routing.targets import Target, TargetError
from routing.transfer_record import Accept, Delivery, Hold, Method, Sound
from routing.values import BadValue

SUPPORT = {"name": "support", "endpoints": ["sip:support@192.0.2.20"]}
SETTINGS = make_settings(
    {
        "pools": [{"name": "p", "numbers": ["*"], "agents": [{"uri": "sip:a@127.0.0.1"}]}],
        "policy": {"dial_uris": ["*.example.com"]},
        "transfer": {"ring_timeout": 12, "caller_id": "agent"},
    }
)


def test_a_target_needs_only_a_name_and_an_endpoint() -> None:
    target = Target.make(SUPPORT)
    assert [endpoint.uri for endpoint in target.endpoints] == ["sip:support@192.0.2.20"]
    assert (target.mode, target.ring_timeout, target.caller_id) == (Mode.BLIND, 30.0, "caller")
    assert (target.codecs, target.headers) == ((), {})


def test_a_target_survives_a_round_trip_through_json() -> None:
    target = Target.make(
        {
            **SUPPORT,
            "endpoints": [{"uri": "sip:a@h"}, "sip:b@h;transport=tcp"],
            "ring_timeout": 5,
            "caller_id": "<sip:+4930@example.com>",
            "codecs": ["opus", "PCMA"],
            "headers": {"X-Team": "Blue", "User-to-User": "00;encoding=hex"},
        }
    )
    assert Target.from_json(target.model_dump_json()) == target
    assert target.caller_id == "sip:+4930@example.com"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "a b"}, "name: 'a b' is not a name; use 1 to 64 letters"),
        ({"endpoints": []}, "endpoints: this cannot be used; give at least one"),
        ({"endpoints": ["sip:a@h;transport=x"]}, "endpoints[0].uri: transport=x is not known; use udp, tcp, tls"),
        ({"endpoints": [5]}, "endpoints[0]: 5 cannot be used; write it as a table"),
        ({"mode": "blnd"}, "mode: 'blnd' is not a mode; did you mean blind?"),
        ({"mode": 5}, "mode: 5 is not a mode; known are: blind, message, summary"),
        ({"ring_timeout": 0}, "ring_timeout: 0 cannot be used; it must be greater than or equal to 1"),
        ({"ring_timeout": 301}, "ring_timeout: 301 cannot be used; it must be less than or equal to 300"),
        (
            {"probe_every": 9},
            "probe_every: 9 s are no time between two probes; give 10 to 86400 seconds",
        ),
        ({"probe_every": -1}, "probe_every: -1 s are no time"),
        ({"caller_id": "callr"}, "caller_id: 'callr' is no caller id"),
        ({"codecs": ["G729"]}, "codecs[0]: 'G729' cannot be used; it must be 'PCMU', 'PCMA', 'G722' or 'opus'"),
        ({"headers": {"Via": "x"}}, "headers.Via: the header 'Via' may not be set; only X-..."),
        ({"headers": {"X-A": "a\r\nb"}}, "headers.X-A: the header value has the control character U+000D"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers: a header is there twice, in upper and lower case"),
        ({"hold": "musik"}, "hold: 'musik' is not something that a caller on hold can hear; did you mean music?"),
        ({"announce": " "}, "announce: the text is empty; write what is to be said"),
        ({"apology": "a\nb"}, "apology: the text has the control character U+000A; put it on one line of plain text"),
        ({"message": "x" * 1001}, "message: the text has 1001 characters; use 1000 at most"),
        ({"message": "a", "message_file": "/b.wav"}, "message_file: message is given as text, too; leave out message"),
        ({"apology_file": "sorry.wav"}, "apology_file: 'sorry.wav' is not an absolute path; write it from the root"),
        ({"pause_before": -0.1}, "pause_before: -0.1 cannot be used; it must be greater than or equal to 0"),
        ({"pause_after": 60.5}, "pause_after: 60.5 cannot be used; it must be less than or equal to 60"),
        ({"voice": "-x"}, "voice: '-x' is not a name; use 1 to 64 letters"),
        ({"deliver": []}, "deliver: this cannot be used; give at least one"),
        ({"deliver": ["speach"]}, "deliver[0]: 'speach' is not a way to deliver a summary; did you mean speech?"),
        ({"accept": "12"}, "accept: '12' is not a key; give one of 0 to 9, *, # and A to D, in quotes: \"1\""),
        ({"accept": 1}, "accept: 1 is not a key"),
        ({"accept_prompt": ""}, "accept_prompt: the text is empty"),
        ({"accept_rounds": 6}, "accept_rounds: 6 cannot be used; it must be less than or equal to 5"),
        ({"accept_timeout": 0}, "accept_timeout: 0 cannot be used; it must be greater than or equal to 1"),
        ({"fallback": "a b"}, "fallback: 'a b' is not a name"),
        ({"fallback": "support"}, "fallback: it is its own fallback; name another target"),
        ({"ringtimeout": 5}, "ringtimeout: is not known here; did you mean ring_timeout?"),
    ],
)
def test_a_bad_target_is_refused_with_place_and_mend(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TargetError) as refused:
        Target.make({**SUPPORT, **changes})
    assert f"target {'a b' if 'name' in changes else 'support'!r} has 1 problem:\n  {sentence}" in str(refused.value)


@pytest.mark.parametrize("briefing", [{"mode": "message"}, {"accept": "1"}])
def test_who_is_called_by_the_caller_s_side_cannot_be_briefed(briefing: dict[str, Any]) -> None:
    with pytest.raises(TargetError, match="method: with refer nobody can be briefed; choose auto or invite"):
        Target.make({**SUPPORT, **briefing, "method": "refer"})
    assert Target.make({**SUPPORT, **briefing, "method": "auto"}).method is Method.AUTO


def test_a_pool_is_a_target_with_the_weights_of_its_agents() -> None:
    target = Target.from_pool(SETTINGS.pools[0])
    assert (target.name, [(each.uri, each.weight) for each in target.endpoints]) == ("p", [("sip:a@127.0.0.1", 50)])


def test_all_problems_of_a_target_are_told_at_once() -> None:
    with pytest.raises(TargetError) as refused:
        Target.make({"mode": "x"})
    assert [problem.where for problem in refused.value.problems] == ["name", "endpoints", "mode"]
    assert "add endpoints = [" in str(refused.value)


def test_stored_text_that_is_no_target_is_refused() -> None:
    with pytest.raises(TargetError, match=r"target has 1 problem:\n  the whole: .* cannot be used; Invalid JSON"):
        Target.from_json("{")
    with pytest.raises(TargetError, match="the whole: this cannot be used"):
        Target.from_json("[]")


def test_all_modes_are_known_and_another_one_has_status_400() -> None:
    assert [parse_mode(word) for word in ("blind", "message", "summary")] == list(Mode)
    with pytest.raises(BadValue) as unknown:
        parse_mode("")
    assert unknown.value.status == 400


def test_what_is_heard_survives_a_round_trip_through_json() -> None:
    target = Target.make(
        {
            **SUPPORT,
            "mode": "summary",
            "hold": "agent",
            "announce": " One moment. ",
            "apology_file": "/sounds/sorry.wav",
            "message": "A call.",
            "deliver": ["uui", "speech", "uui"],
            "accept": "d",
            "pause_before": 0,
            "fallback": "sales",
            "voice": "de+f3",
        }
    )
    assert Target.from_json(target.model_dump_json()) == target
    assert (target.announce, target.accept, target.deliver) == ("One moment.", "D", (Delivery.UUI, Delivery.SPEECH))
    assert (target.hold, target.pause_before, target.fallback) == (Hold.AGENT, 0.0, "sales")


def test_settings_of_a_refer_go_over_those_of_the_target() -> None:
    target = Target.make({**SUPPORT, "message_file": "/a.wav"})
    assert target.with_settings({}) == target
    changed = target.with_settings({"mode": "message", "message": " Urgent. "})
    assert (changed.mode, changed.message, changed.message_file) == (Mode.MESSAGE, "Urgent.", None)
    assert Target.from_json(changed.model_dump_json()) == changed
    with pytest.raises(BadValue, match="did you mean summary"):
        target.with_settings({"mode": "sumary"})


def test_message_and_summary_have_no_effect_in_a_mode_that_does_not_use_them() -> None:
    target = Target.make(SUPPORT)
    long = "x" * 1001
    assert target.with_settings({"message": long, "summary": long}) == target
    assert target.with_settings({"mode": "message", "summary": long}).mode is Mode.MESSAGE


@pytest.mark.parametrize(
    ("given", "sentence", "status"),
    [
        ({"summary": "x" * 1001}, "the summary has 1001 characters", 413),
        ({"summary": "a\x00b"}, "the summary has the control character", 400),
        ({"message": "x" * 1001}, "the message has 1001 characters", 413),
        ({"message": "a\r\nb"}, "the message has the control character", 400),
    ],
)
def test_a_text_that_cannot_be_spoken_is_refused_with_its_status(
    given: dict[str, str], sentence: str, status: int
) -> None:
    with pytest.raises(BadValue, match=sentence) as refused:
        Target.make(SUPPORT).with_settings({"mode": "summary", **given})
    assert refused.value.status == status


def test_an_empty_message_or_summary_counts_as_not_given() -> None:
    target = Target.make({**SUPPORT, "mode": "summary", "message": "A call."})
    assert target.with_settings({"message": " ", "summary": "\t"}) == target
    assert check_summary(" ") == ""


def test_the_lines_of_a_summary_are_put_on_one() -> None:
    assert check_summary(" one\r\n two\n") == "one two"


def test_a_target_tells_what_it_lets_people_hear() -> None:
    target = Target.make(
        {**SUPPORT, "language": "de", "voice": "anna", "announce": "Moment.", "apology_file": "/sorry.wav"}
    )
    assert target.sound("announce") == Sound(text="Moment.", language="de", voice="anna")
    assert target.sound("apology") == Sound(file="/sorry.wav")
    assert target.sound("message") is None
    assert target.acceptance("Press {key}.") is None
    assert target.texts("Press {key}.") == [target.sound("announce")]


def test_the_prompt_names_the_key_and_is_spoken_in_the_language_of_whoever_wrote_it() -> None:
    data = {**SUPPORT, "language": "de", "accept": "5", "accept_rounds": 3, "accept_timeout": 4}
    accept = Target.make(data).acceptance("Press {key}.")
    assert accept == Accept(key="5", prompt=Sound(text="Press 5."), rounds=3, seconds=4.0)
    own = Target.make({**data, "accept_prompt": "Bitte {key}!"})
    accept = own.acceptance("Press {key}.")
    assert accept
    assert accept.prompt == Sound(text="Bitte 5!", language="de")
    assert own.texts("Press {key}.") == [accept.prompt]


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("sip:bob@pbx.example.com", "bob"),
        ("sip:pbx.example.com", "pbx.example.com"),
        ("sip:.a%20%C3%BC.@pbx.example.com;transport=tcp", "a-."),
        ("sip:%C3%BC@pbx.example.com", "uri"),
    ],
)
def test_a_uri_that_the_policy_allows_becomes_a_target(uri: str, name: str) -> None:
    target = Target.from_uri(uri, SETTINGS)
    assert (target.name, target.endpoints[0].uri) == (name, uri)
    assert (target.ring_timeout, target.caller_id) == (12.0, "agent")


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("sip:bob@example.com", 403),
        ("sip:bob@other.example", 403),
        ("tel:+4930", 403),
        ("sip:bob@pbx.example.com;maddr=other.example", 400),
        ("sips:bob@pbx.example.com;transport=udp", 400),
        ("sip:bob@pbx.example.com;transport=sctp", 501),
    ],
)
def test_a_uri_that_may_not_or_cannot_be_dialled_is_refused_with_its_status(uri: str, status: int) -> None:
    with pytest.raises(BadValue) as refused:
        Target.from_uri(uri, SETTINGS)
    assert refused.value.status == status


def test_what_was_never_set_is_not_stored() -> None:
    """So an older node can read a target that makes no use of what is new."""
    target = Target.make({"name": "support", "endpoints": [{"uri": "sip:1001@pbx.example.com"}], "ring_timeout": 12})
    stored = json.loads(target.to_json())
    assert stored == {"name": "support", "endpoints": [{"uri": "sip:1001@pbx.example.com"}], "ring_timeout": 12.0}
    assert Target.from_json(target.to_json()) == target
