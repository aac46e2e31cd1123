"""The settings that commands work with: what the running handoff has added to its file is meant in others too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.effective import effective_settings, nothing_to_read

if TYPE_CHECKING:
    import pytest

    from tests.cli.operator import Operator

FILE = '[[pools]]\nname = "a"\nnumbers = ["*"]\nagents = [{uri = "sip:a@127.0.0.1"}]\n'
OWN = '[redis]\nurl = "unix:///own.sock"\n[rtpengine]\nnodes = {own = "127.0.0.1:2"}\ndtmf_listen = "127.0.0.1:4"\n'


def test_in_a_folder_that_may_not_be_looked_into_there_is_no_file(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where root's folder is the current one of a command that runs as another user."""
    (operator.folder / "settings.json").unlink()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("os.stat", refuse)
        assert nothing_to_read({})
    assert "no handoff runs on this machine" in operator.fails(2, "targets", "list")


def test_what_a_file_leaves_out_is_that_of_the_running_handoff_and_what_it_says_counts(operator: Operator) -> None:
    media = {"nodes": {"node1": "127.0.0.1:1"}, "dtmf_listen": "127.0.0.1:3"}
    operator.writes_settings(rtpengine=media, speech={"folder": "/run/sounds"})
    (operator.folder / "plain.toml").write_text(FILE)
    (operator.folder / "own.toml").write_text(f'{FILE}{OWN}[speech]\nfolder = "/own/sounds"\n')
    plain, own = (effective_settings(str(operator.folder / name)) for name in ("plain.toml", "own.toml"))
    assert (plain.redis.url, plain.rtpengine.nodes) == (operator.url, {"node1": "127.0.0.1:1"})
    assert (plain.rtpengine.dtmf_listen, plain.speech.folder) == ("127.0.0.1:3", "/run/sounds")
    assert (own.redis.url, own.rtpengine.nodes) == ("unix:///own.sock", {"own": "127.0.0.1:2"})
    assert (own.rtpengine.dtmf_listen, own.speech.folder) == ("127.0.0.1:4", "/own/sounds")
