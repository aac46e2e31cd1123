"""Commands turn themselves into the dictionaries of the ng protocol, and read their replies."""

from __future__ import annotations

import pytest

from rtpengine import (
    Answer,
    BadReply,
    BlockDtmf,
    BlockMedia,
    Codecs,
    Command,
    CommandRefused,
    Delete,
    Done,
    MediaPlayed,
    Offer,
    Ping,
    PlayMedia,
    Pong,
    Query,
    Reply,
    SdpReply,
    StopMedia,
    UnblockDtmf,
    UnblockMedia,
)

SDP_DEFAULTS = {"flags": ("port-latching",), "replace": ("origin", "session-connection"), "ICE": "remove"}


@pytest.mark.parametrize(
    ("command", "body"),
    [
        (Ping(), {"command": "ping"}),
        (
            Offer("c1", "caller", "v=0"),
            {"command": "offer", "call-id": "c1", "from-tag": "caller", "sdp": "v=0"} | SDP_DEFAULTS,
        ),
        (
            Offer("c1", "shadow1", "v=0", "leg1", "v1", Codecs.adding(("PCMA",)), "force"),
            {"command": "offer", "call-id": "c1", "from-tag": "shadow1", "to-tag": "leg1", "via-branch": "v1"}
            | {"sdp": "v=0", "codec": {"transcode": ("PCMA",), "accept": ("telephone-event",)}}
            | SDP_DEFAULTS
            | {"ICE": "force"},
        ),
        (
            Answer("c1", "caller", "agent", "v=0"),
            {"command": "answer", "call-id": "c1", "from-tag": "caller", "to-tag": "agent", "sdp": "v=0"}
            | SDP_DEFAULTS,
        ),
        (Delete("c1"), {"command": "delete", "call-id": "c1", "delete-delay": 0}),
        (
            Delete("c1", "agent"),
            {"command": "delete", "call-id": "c1", "from-tag": "agent", "delete-delay": 0},
        ),
        (Query("c1"), {"command": "query", "call-id": "c1"}),
        (
            PlayMedia("c1", "leg1", "/a.wav"),
            {"command": "play media", "call-id": "c1", "from-tag": "leg1", "file": "/a.wav"},
        ),
        (
            PlayMedia("c1", "leg1", "/a.wav", 3),
            {"command": "play media", "call-id": "c1", "from-tag": "leg1", "file": "/a.wav", "repeat-times": 3},
        ),
        (StopMedia("c1", "leg1"), {"command": "stop media", "call-id": "c1", "from-tag": "leg1"}),
        (
            BlockMedia("c1", "leg1"),
            {"command": "block media", "call-id": "c1", "from-tag": "leg1", "flags": ("directional",)},
        ),
        (
            UnblockMedia("c1", "leg1"),
            {"command": "unblock media", "call-id": "c1", "from-tag": "leg1", "flags": ("directional",)},
        ),
        (
            BlockDtmf("c1", "leg1"),
            {"command": "block DTMF", "call-id": "c1", "from-tag": "leg1", "flags": ("directional",)},
        ),
        (
            UnblockDtmf("c1", "leg1"),
            {"command": "unblock DTMF", "call-id": "c1", "from-tag": "leg1", "flags": ("directional",)},
        ),
    ],
)
def test_a_command_has_exactly_the_keys_that_rtpengine_needs(command: Command[Reply], body: dict[str, object]) -> None:
    assert command.body() == body


def test_only_some_codecs_means_that_all_others_are_masked_and_dtmf_events_are_not() -> None:
    assert Codecs.only(("PCMA", "opus")).keys() == {
        "transcode": ("PCMA", "opus"),
        "mask": ("all",),
        "except": ("telephone-event",),
        "accept": ("telephone-event",),
    }


def test_no_codecs_means_no_codec_key_at_all() -> None:
    assert "codec" not in Offer("c1", "caller", "v=0", codecs=Codecs()).body()


def test_an_error_is_a_refusal_with_the_reason() -> None:
    with pytest.raises(CommandRefused, match="'media1' refused 'query': Unknown call-id") as refused:
        Query("c1").understand("media1", {"result": "error", "error-reason": "Unknown call-id"})
    assert (refused.value.node, refused.value.command, refused.value.reason) == ("media1", "query", "Unknown call-id")


def test_an_error_without_a_reason_is_a_refusal_too() -> None:
    with pytest.raises(CommandRefused, match="no reason given"):
        Query("c1").understand("media1", {"result": "error"})


@pytest.mark.parametrize("result", [None, 1, "load limit", ["ok"], {}])
def test_any_other_result_is_a_bad_reply(result: object) -> None:
    with pytest.raises(BadReply, match="the result is") as bad:
        Ping().understand("media1", {"result": result})
    assert (bad.value.node, bad.value.command) == ("media1", "ping")


@pytest.mark.parametrize(
    ("command", "answer", "reply"),
    [
        (Ping(), {"result": "pong"}, Pong()),
        (Offer("c1", "caller", "v=0"), {"result": "ok", "sdp": "v=0"}, SdpReply("v=0")),
        (Answer("c1", "caller", "agent", "v=0"), {"result": "ok", "sdp": "v=0"}, SdpReply("v=0")),
        (Delete("c1"), {"result": "ok"}, Done()),
        (Delete("c1"), {"result": "ok", "warning": "not found"}, Done("not found")),
        (StopMedia("c1", "leg1"), {"result": "ok", "last-frame-pos": 1}, Done()),
        (BlockMedia("c1", "leg1"), {"result": "ok"}, Done()),
        (PlayMedia("c1", "leg1", "/a.wav"), {"result": "ok", "duration": 1500}, MediaPlayed(1.5)),
    ],
)
def test_a_reply_is_read(command: Command[Reply], answer: dict[str, object], reply: Reply) -> None:
    assert command.understand("media1", answer) == reply


def test_stopping_where_nothing_was_played_is_done_with_a_warning_and_other_errors_are_refusals() -> None:
    nothing: dict[str, object] = {"result": "error", "error-reason": "Not currently playing media"}
    assert StopMedia("c1", "leg1").understand("media1", nothing) == Done("Not currently playing media")
    with pytest.raises(CommandRefused, match="Unknown call-id"):
        StopMedia("c1", "leg1").understand("media1", {"result": "error", "error-reason": "Unknown call-id"})


def test_play_media_that_is_ok_without_a_duration_is_refused() -> None:
    with pytest.raises(CommandRefused, match="cannot play the file"):
        PlayMedia("c1", "leg1", "/a.wav").understand("media1", {"result": "ok"})


@pytest.mark.parametrize(
    ("command", "answer", "detail"),
    [
        (Offer("c1", "caller", "v=0"), {}, "'sdp' is not a string"),
        (Delete("c1"), {"warning": 7}, "'warning' is not a string"),
        (PlayMedia("c1", "leg1", "/a.wav"), {"duration": "long"}, "'duration' is not an integer"),
    ],
)
def test_a_reply_that_lacks_what_it_should_have_is_a_bad_reply(
    command: Command[Reply], answer: dict[str, object], detail: str
) -> None:
    with pytest.raises(BadReply, match=detail):
        command.understand("media1", {"result": "ok"} | answer)
