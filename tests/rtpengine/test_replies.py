"""The reply to a query tells the living parties and what they sent."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtpengine import BadReply, CallQueried, PartyMedia, Quality, Query, Stream

ANSWER: dict[str, Any] = {
    "result": "ok",
    "created": 1700000000,
    "tags": {
        "caller": {
            "tag": "caller",
            "medias": [
                {
                    "codec": "PCMU/8000",
                    "streams": [
                        {
                            "local port": 41000,
                            "flags": ["RTP", "filled"],
                            "last packet": 1700000009,
                            "stats": {"packets": 450, "bytes": 77400, "errors": 1},
                        },
                        {
                            "local port": 41001,
                            "flags": ["RTCP"],
                            "last packet": 1700000011,
                            "stats": {"packets": 2, "bytes": 100, "errors": 0},
                        },
                    ],
                }
            ],
        },
        "agent": {
            "tag": "agent",
            "medias": [
                {
                    "streams": [
                        {
                            "local port": 41002,
                            "flags": ["RTP"],
                            "last packet": 1700000000,
                            "stats": {"packets": 0, "bytes": 0, "errors": 0},
                        }
                    ]
                }
            ],
        },
        "shadow1": {"tag": "shadow1", "medias": [{"streams": [{"flags": ["RTP"], "last packet": 0, "stats": {}}]}]},
        "<untagged 1>": {"tag": "", "medias": [{"streams": [ANY := {}]}]},
    },
}
ANY.update(ANSWER["tags"]["agent"]["medias"][0]["streams"][0])


def read(answer: dict[str, object]) -> CallQueried:
    return Query("c1").understand("media1", answer)


def test_the_streams_of_a_party_are_read() -> None:
    assert read(ANSWER).tags["caller"] == PartyMedia(
        "caller",
        ("PCMU/8000",),
        (
            Stream(41000, rtcp=False, last_packet=1700000009, packets=450, bytes=77400, errors=1),
            Stream(41001, rtcp=True, last_packet=1700000011, packets=2, bytes=100, errors=0),
        ),
    )
    assert read(ANSWER).created == 1700000000


def test_only_rtp_counts_as_a_sign_of_life() -> None:
    caller = read(ANSWER).tags["caller"]
    assert (caller.packets, caller.last_packet) == (450, 1700000009)


def test_a_party_that_never_sent_has_no_last_packet_though_its_port_has_a_time() -> None:
    agent = read(ANSWER).tags["agent"]
    assert (agent.packets, agent.last_packet, agent.codecs) == (0, 0, ())


def test_deleted_and_unanswered_parties_are_not_listed() -> None:
    assert set(read(ANSWER).tags) == {"caller", "agent"}


REPORT = {
    "cumulative loss": 7,
    "average MOS": {"MOS": 43, "round-trip time": 83, "jitter": 2, "packet loss": 1, "samples": 3},
}


def _with_reports(reports: object) -> dict[str, object]:
    answer = _damaged(("tags", "caller", "medias", 0, "streams", 0, "SSRC"), 916323371)
    return {**answer, "SSRC": reports}


def test_how_well_a_party_is_received_is_read_from_the_reports_on_its_source() -> None:
    found = read(_with_reports({"916323371": REPORT, "5": {}}))
    assert found.quality("caller") == Quality(mos=4.3, jitter=2, loss=1, lost=7)
    assert set(found.qualities) == {916323371}


def test_newer_rtpengines_list_the_sources_of_a_party_the_present_one_first() -> None:
    place = ("tags", "caller", "medias", 0, "streams", 0, "ingress SSRCs")
    answer = _damaged(place, [{"SSRC": 916323371, "packets": 9}, {"SSRC": 5, "packets": 900}])
    worse = {"average MOS": {"MOS": 10, "jitter": 90, "packet loss": 50}}
    found = read({**answer, "SSRC": {"916323371": REPORT, "5": worse}})
    assert found.quality("caller") == Quality(mos=4.3, jitter=2, loss=1, lost=7)
    assert read(_damaged(place, [])).quality("caller") is None


@pytest.mark.parametrize("reports", [{}, {"1": REPORT}, {"916323371": {"cumulative loss": 7}}, {"x": REPORT}])
def test_of_a_party_on_which_nobody_reports_nothing_is_known(reports: dict[str, object]) -> None:
    found = read(_with_reports(reports))
    assert found.quality("caller") is None
    assert found.quality("agent") is None
    assert found.quality("nobody") is None


def test_a_report_without_a_count_of_lost_packets_has_lost_none() -> None:
    found = read(_with_reports({"916323371": {"average MOS": REPORT["average MOS"]}}))
    assert found.quality("caller") == Quality(mos=4.3, jitter=2, loss=1, lost=0)


@pytest.mark.parametrize(
    ("reports", "detail"),
    [
        (None, "'SSRC' is not a dictionary"),
        ({"916323371": 1}, "an SSRC is not a dictionary"),
        ({"916323371": {"average MOS": 1}}, "'average MOS' is not a dictionary"),
        ({"916323371": {"average MOS": {}}}, "'MOS' is not an integer"),
    ],
)
def test_damaged_reports_are_told_by_their_place(reports: object, detail: str) -> None:
    with pytest.raises(BadReply, match=detail):
        read(_with_reports(reports))


def _damaged(path: tuple[str | int, ...], value: object) -> dict[str, object]:
    answer: Any = copy.deepcopy(ANSWER)
    place = answer
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return dict(answer)


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        (("created",), "'created' is not an integer"),
        (("tags",), "'tags' is not a dictionary"),
        (("tags", "caller"), "a tag is not a dictionary"),
        (("tags", "caller", "tag"), "'tag' is not a string"),
        (("tags", "caller", "medias"), "'medias' is not a list"),
        (("tags", "caller", "medias", 0), "a media is not a dictionary"),
        (("tags", "caller", "medias", 0, "streams", 0), "a stream is not a dictionary"),
        (("tags", "caller", "medias", 0, "streams", 0, "stats"), "'stats' is not a dictionary"),
        (("tags", "caller", "medias", 0, "streams", 0, "flags"), "'flags' is not a list"),
    ],
)
def test_damage_is_told_by_its_place(path: tuple[str | int, ...], detail: str) -> None:
    with pytest.raises(BadReply, match=detail):
        read(_damaged(path, None))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tag", "medias", "streams", "stats", "flags", "local port"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(tags=json_values, created=json_values)
def test_whatever_a_query_answers_is_read_or_is_a_bad_reply(tags: object, created: object) -> None:
    answer: dict[str, object] = {"result": "ok", "tags": tags, "created": created}
    with suppress(BadReply):
        assert isinstance(read(answer), CallQueried)
