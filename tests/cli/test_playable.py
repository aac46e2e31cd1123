"""Whether a file can be played is asked of the real rtpengine."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cli.output import Failed
from cli.playable import check_playable
from routing.settings import Settings, make_settings
from rtpengine import Client, CommandRefused, Query
from tests.cli.operator import POOL
from tests.rtpengine.contract import sound
from tests.stack.test_rtpengine import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest import CaptureFixture, MonkeyPatch  # noqa: PT013 - types only


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Run an rtpengine for the tests of this file."""
    with Daemon() as running:
        yield running


def settings(**nodes: str) -> Settings:
    """Make settings with these rtpengine nodes."""
    return make_settings({"pools": [POOL], "rtpengine": {"nodes": nodes}})


def test_a_file_that_can_be_played_is_taken_and_the_call_is_dropped(
    daemon: Daemon, tmp_path: Path, capsys: CaptureFixture[str], monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.playable.secrets.token_hex", lambda _: "known")
    sound(tmp_path / "good.wav")
    check_playable(settings(media1=daemon.address), tmp_path / "good.wav")
    assert capsys.readouterr().err == ""
    with closing(Client("media1", daemon.address)) as client, pytest.raises(CommandRefused, match="Unknown call-id"):
        client.request(Query("check-known"))


def test_a_file_that_cannot_be_played_is_refused_with_the_node_and_what_to_check(
    daemon: Daemon, tmp_path: Path
) -> None:
    (tmp_path / "bad.wav").write_text("no sound")
    with pytest.raises(Failed, match=r"rtpengine node media1 cannot play .*bad.wav.*check that the file is on its"):
        check_playable(settings(media1=daemon.address), tmp_path / "bad.wav")


def test_a_node_that_does_not_answer_is_warned_about_and_the_others_are_asked(
    daemon: Daemon, tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        silent = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(Failed, match="rtpengine node media2 cannot play"):
        check_playable(settings(media1=silent, media2=daemon.address), tmp_path / "none.wav")
    error = capsys.readouterr().err
    assert "none.wav was not tried: rtpengine node 'media1' cannot be reached" in error
    assert "`handoff doctor` tells which rtpengine answers" in error


def test_without_any_node_it_is_warned(tmp_path: Path, capsys: CaptureFixture[str]) -> None:
    check_playable(settings(), tmp_path / "none.wav")
    assert "no rtpengine is known" in capsys.readouterr().err
