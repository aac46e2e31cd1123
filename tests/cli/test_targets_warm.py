"""What `handoff targets` does about the things that are heard: texts, files, keys, fallbacks."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.fallbacks import check_fallbacks
from cli.output import Failed
from cli.speech.sound_file import duration
from routing.store.redis_store import RedisStore
from routing.targets import Target

if TYPE_CHECKING:
    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer

URI = "sip:support@127.0.0.1:5070"
WARM = (
    *("--mode", "message", "--message", "A call.", "--pause-before", "1", "--pause-after", "0", "--hold", "agent"),
    *("--announce", "One moment.", "--apology", "Sorry.", "--language", "de", "--voice", "anna"),
    *("--deliver", "speech", "--deliver", "uui", "--accept", "1", "--accept-prompt", "Press {key}."),
    *("--accept-rounds", "3", "--accept-timeout", "4"),
)
FIELDS = {
    "mode": "message",
    "message": "A call.",
    "pause_before": 1.0,
    "pause_after": 0.0,
    "hold": "agent",
    "announce": "One moment.",
    "apology": "Sorry.",
    "language": "de",
    "voice": "anna",
    "deliver": ["speech", "uui"],
    "accept": "1",
    "accept_prompt": "Press {key}.",
    "accept_rounds": 3,
    "accept_timeout": 4.0,
}


def silence(path: Path) -> str:
    """Write a tenth of a second of silence, at a rate that is converted."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(1600))
    return str(path)


@pytest.fixture
def sounds(operator: Operator) -> Path:
    """Give the folder of sounds that the running handoff has."""
    folder = operator.folder / "sounds"
    operator.writes_settings(speech={"folder": str(folder)})
    return folder


def test_all_that_can_be_set_is_set_shown_and_cleared_again(operator: Operator) -> None:
    plain = operator.reads("targets", "add", "plain", URI)
    added = operator.reads("targets", "add", "support", URI, *WARM)
    assert added == {**plain, "name": "support", **FIELDS}
    clear = [word for name in FIELDS if name != "mode" for word in ("--clear", name.replace("_", "-"))]
    cleared = operator.reads("targets", "set", "support", "--mode", "blind", *clear)
    assert cleared == {**plain, "name": "support"}


def test_people_see_only_the_settings_that_are_not_as_usual(operator: Operator) -> None:
    operator.reads("targets", "add", "plain", URI)
    assert "MORE" not in operator.types("targets", "list").stdout
    operator.reads("targets", "add", "support", URI, *WARM, "--message", "x" * 50)
    shown = operator.types("targets", "show", "support").stdout
    assert "accept timeout  4 s\n" in shown
    assert "deliver         speech, uui\n" in shown
    assert "message file" not in shown
    header, plain, support = operator.types("targets", "list").stdout.splitlines()
    assert header.split()[-2:] == ["ENDPOINTS", "MORE"]
    assert plain.strip().endswith(URI)
    assert f"message {'x' * 37}..., pause before 1 s" in support


def test_the_help_has_the_options_under_headings(operator: Operator) -> None:
    text = operator.types("targets", "set", "--help").stdout
    headings = [line for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == [
        "How it is called:",
        "Logging in where it is called:",
        "What the person hears and sees:",
        "What the caller hears:",
        "Taking the call by key:",
        "Options:",
    ]
    assert text.index("How it is called:") < text.index("--endpoint") < text.index("What the person hears")
    assert text.index("Options:") < text.index("--clear")


BAD = {
    "a hold": (("--hold", "musik"), "did you mean music?"),
    "a delivery": (("--deliver", "speech", "--deliver", "fax"), "deliver[1]: 'fax' is not a way to deliver a summary"),
    "a key": (("--accept", "10"), "accept: '10' is not a key"),
    "rounds": (("--accept-rounds", "0"), "accept_rounds: 0 cannot be used"),
    "a pause": (("--pause-before", "61"), "pause_before: 61.0 cannot be used"),
    "a text": (("--announce", "a\nb"), "announce: the text has the control character U+000A"),
    "text and file": (("--message", "A", "--message-file", "a.wav"), "message_file: message is given as text, too"),
    "itself": (("--fallback", "support"), "fallback: it is its own fallback"),
    "nobody": (("--fallback", "sales"), "fallback of support: there is no target sales; add it first"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_is_refused_with_a_sentence_and_changes_nothing(operator: Operator, kind: str) -> None:
    words, sentence = BAD[kind]
    assert sentence in operator.fails(2, "targets", "add", "support", URI, *words)
    assert operator.reads("targets", "list") == []


# --- speech ----------------------------------------------------------------------------------------------------------


def asked(operator: Operator) -> list[dict[str, Any]]:
    """Take what node1 was asked to speak."""
    found = []
    with operator.store() as store:
        while request := store.take_speech("node1", 0.01):
            found.append(request)
    return found


def test_the_texts_of_a_target_are_spoken_by_all_nodes_before_the_first_call(operator: Operator) -> None:
    with operator.store() as store:
        store.beat("node1", {"at": 1.0})
        store.beat("node2", {"at": 1.0})
    operator.reads("targets", "add", "support", URI, *WARM)
    texts = ["One moment.", "A call.", "Sorry.", "Press 1."]
    assert asked(operator) == [{"text": text, "language": "de", "voice": "anna"} for text in texts]
    with operator.store() as store:
        assert store.take_speech("node2", 0.01) == {"text": "One moment.", "language": "de", "voice": "anna"}
    operator.reads("targets", "set", "support", "--clear", "accept-prompt", "--message", "Another call.")
    assert [request["text"] for request in asked(operator)][1::2] == ["Another call.", "Press 1 to take the call."]
    (operator.folder / "targets.json").write_text(operator.types("targets", "export").stdout)
    operator.reads("targets", "import", "targets.json", "--replace")
    assert len(asked(operator)) == 4


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_converted_and_takes_the_place_of_the_text(operator: Operator, sounds: Path) -> None:
    silence(operator.folder / "hello.wav")
    operator.reads("targets", "add", "support", URI, "--message", "A call.")
    result = operator.types("targets", "set", "support", "--message-file", "hello.wav", "--json")
    data = json.loads(result.stdout)
    file = Path(data["message_file"])
    assert (data["message"], file.parent, file.name.partition("-")[0]) == (None, sounds, "hello")
    assert f"Warning: {file} was not tried, since no rtpengine is known" in result.stderr
    assert duration(file) == pytest.approx(0.1)
    quiet = operator.types("targets", "set", "support", "--hold", "agent")
    assert quiet.stderr == ""
    assert operator.reads("targets", "set", "support", "--message", "A call.")["message_file"] is None


def test_an_exported_file_is_imported_as_it_is_and_another_one_is_converted(operator: Operator, sounds: Path) -> None:
    operator.types("targets", "add", "support", URI, "--apology-file", silence(operator.folder / "sorry.wav"))
    exported = json.loads(operator.types("targets", "export").stdout)["targets"][0]
    other = {**exported, "name": "other", "apology_file": silence(operator.folder / "other.wav")}
    (operator.folder / "targets.json").write_text(json.dumps([exported, other]))
    assert operator.types("targets", "import", "targets.json", "--replace").exit_code == 0
    stored = {target["name"]: target["apology_file"] for target in operator.reads("targets", "list")}
    assert stored["support"] == exported["apology_file"]
    assert Path(stored["other"]).parent == sounds
    assert len(list(sounds.glob("*.aiff"))) == 2


def test_a_file_that_an_older_version_converted_is_converted_again(operator: Operator, sounds: Path) -> None:
    sounds.mkdir()
    old = silence(sounds / "sorry-0123456789abcdef.wav")
    operator.types("targets", "add", "support", URI, "--apology-file", old)
    stored = Path(operator.reads("targets", "show", "support")["apology_file"])
    assert stored.parent == sounds
    assert duration(stored) == pytest.approx(0.1)


@pytest.mark.usefixtures("sounds")
def test_a_file_that_is_no_sound_or_not_there_is_refused_and_named(operator: Operator) -> None:
    (operator.folder / "text.wav").write_text("words")
    for name in ("text.wav", "none.wav"):
        error = operator.fails(2, "targets", "add", "support", URI, "--message-file", name)
        assert f"Error: {operator.folder / name} cannot be used: " in error
    assert operator.reads("targets", "list") == []


def test_without_a_folder_for_sounds_it_says_how_to_get_one(operator: Operator) -> None:
    file = silence(operator.folder / "hello.wav")
    error = operator.fails(2, "targets", "add", "support", URI, "--announce-file", file)
    assert "set speech.folder in the configuration, or start `handoff up`" in error


def test_a_file_that_rtpengine_cannot_play_is_refused_by_add(
    operator: Operator, sounds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object, path: Path) -> None:
        raise Failed(f"rtpengine cannot play {path}")

    monkeypatch.setattr("cli.target_sounds.check_playable", refuse)
    file = silence(operator.folder / "hello.wav")
    assert f"cannot play {sounds}" in operator.fails(1, "targets", "add", "support", URI, "--announce-file", file)
    assert operator.reads("targets", "list") == []


# --- fallbacks -------------------------------------------------------------------------------------------------------


def test_a_fallback_must_exist_and_may_not_lead_back(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI)
    operator.reads("targets", "add", "sales", URI, "--fallback", "support")
    error = operator.fails(2, "targets", "set", "support", "--fallback", "sales")
    assert "fallback of support: it goes round in a circle (support -> sales -> support)" in error
    assert "did you mean sales?" in operator.fails(2, "targets", "set", "support", "--fallback", "sals")
    assert operator.reads("targets", "show", "support")["fallback"] is None


def test_a_target_that_is_the_fallback_of_another_one_is_not_removed(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI)
    operator.reads("targets", "add", "sales", URI, "--fallback", "support")
    error = operator.fails(1, "targets", "remove", "support")
    assert "target support is the fallback of sales" in error
    assert "handoff targets set sales --fallback NAME" in error
    operator.reads("targets", "set", "sales", "--clear", "fallback")
    assert operator.reads("targets", "remove", "support") == {"removed": "support"}


def test_imported_targets_may_be_one_anothers_fallback_in_any_order(operator: Operator) -> None:
    entries = [{"name": "a", "endpoints": [URI], "fallback": "b"}, {"name": "b", "endpoints": [URI]}]
    (operator.folder / "targets.json").write_text(json.dumps(entries))
    assert operator.reads("targets", "import", "targets.json") == {"imported": ["a", "b"]}
    (operator.folder / "targets.json").write_text(json.dumps([{**entries[1], "fallback": "a"}]))
    assert "fallback of b: it goes round in a circle" in operator.fails(
        2, "targets", "import", "targets.json", "--replace"
    )


def test_too_many_fallbacks_in_a_row_and_a_loop_further_on_are_found() -> None:
    def target(name: str, fallback: str) -> Target:
        return Target.make({"name": name, "endpoints": [URI], "fallback": fallback or None})

    row = [target("a", "b"), target("b", "c"), target("c", "d"), target("d", "")]
    assert check_fallbacks(row, []) == []
    problems = check_fallbacks([target("z", "a")], row)
    assert [each.what for each in problems] == ["more than 3 fallbacks follow one another (z -> a -> b -> c -> d ...)"]
    looping = [target("b", "c"), target("c", "b")]
    problems = check_fallbacks([target("a", "b")], looping)
    assert [each.what for each in problems] == ["it goes round in a circle (a -> b -> c -> b)"]
    assert check_fallbacks([target("a", "b")], [target("b", "gone")]) == []


def test_without_redis_the_target_is_kept_and_a_warning_says_that_nothing_is_spoken_yet(
    operator: Operator, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nodes(_: RedisStore) -> dict[str, dict[str, Any]]:
        redis.stop()
        return {"node1": {}}

    monkeypatch.setattr(RedisStore, "nodes", nodes)
    result = operator.types("targets", "add", "support", URI, "--message", "A call.")
    assert result.exit_code == 0
    assert "Warning: the texts are not spoken in advance but when they are needed" in result.stderr
