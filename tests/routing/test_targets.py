"""A target is a checked destination; what is wrong with one is told in clear sentences."""

from __future__ import annotations

from typing import Any

import pytest

from routing.outcomes import Mode
from routing.settings import make_settings
from routing.targets import Target, TargetError, parse_mode
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
        ({"endpoints": ["tel:+4930"]}, "endpoints[0].uri: tel: endpoints are not yet available; give a sip: URI"),
        ({"endpoints": [5]}, "endpoints[0]: 5 cannot be used; write it as a table"),
        ({"mode": "summary"}, "mode: the mode summary is not yet available; use blind"),
        ({"mode": "blnd"}, "mode: 'blnd' is not a mode; did you mean blind?"),
        ({"mode": 5}, "mode: 5 is not a mode; known are: blind, message, summary"),
        ({"ring_timeout": 0}, "ring_timeout: 0 cannot be used; it must be greater than or equal to 1"),
        ({"ring_timeout": 301}, "ring_timeout: 301 cannot be used; it must be less than or equal to 300"),
        ({"caller_id": "callr"}, "caller_id: 'callr' is no caller id"),
        ({"codecs": ["G729"]}, "codecs[0]: 'G729' cannot be used; it must be 'PCMU', 'PCMA', 'G722' or 'opus'"),
        ({"headers": {"Via": "x"}}, "headers.Via: the header 'Via' may not be set; only X-..."),
        ({"headers": {"X-A": "a\r\nb"}}, "headers.X-A: the header value has the control character U+000D"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "headers: a header is there twice, in upper and lower case"),
        ({"ringtimeout": 5}, "ringtimeout: is not known here; did you mean ring_timeout?"),
    ],
)
def test_a_bad_target_is_refused_with_place_and_mend(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TargetError) as refused:
        Target.make({**SUPPORT, **changes})
    assert f"target {'a b' if 'name' in changes else 'support'!r} has 1 problem:\n  {sentence}" in str(refused.value)


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


def test_an_unavailable_mode_has_status_501_and_an_unknown_one_400() -> None:
    assert parse_mode("blind") is Mode.BLIND
    with pytest.raises(BadValue) as unavailable:
        parse_mode("message")
    with pytest.raises(BadValue) as unknown:
        parse_mode("")
    assert (unavailable.value.status, unknown.value.status) == (501, 400)


def test_settings_of_a_refer_go_over_those_of_the_target() -> None:
    target = Target.make(SUPPORT)
    assert target.with_settings({"summary": "x"}) is target
    assert target.with_settings({"mode": "blind"}) == target
    with pytest.raises(BadValue, match="not yet available"):
        target.with_settings({"mode": "summary"})


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
        ("sips:bob@pbx.example.com", 416),
        ("sip:bob@pbx.example.com;transport=tls", 501),
    ],
)
def test_a_uri_that_may_not_or_cannot_be_dialled_is_refused_with_its_status(uri: str, status: int) -> None:
    with pytest.raises(BadValue) as refused:
        Target.from_uri(uri, SETTINGS)
    assert refused.value.status == status
