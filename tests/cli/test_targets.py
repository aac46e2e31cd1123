"""`handoff targets`, typed against a real Redis."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.operator import Operator
    from tests.routing.store_help import RedisServer

URI = "sip:support@127.0.0.1:5070"
OTHER = "sip:sales@127.0.0.1:5071"


def test_a_target_that_was_added_is_listed_and_shown(operator: Operator) -> None:
    said = operator.types("targets", "add", "support", URI, OTHER, "--header", "X-Queue: first", "--codec", "PCMA")
    assert (said.exit_code, said.output) == (0, "target support added\n")
    shown = operator.reads("targets", "show", "support")
    assert [endpoint["uri"] for endpoint in shown["endpoints"]] == [URI, OTHER]
    assert (shown["headers"], shown["codecs"]) == ({"X-Queue": "first"}, ["PCMA"])
    assert operator.reads("targets", "list") == [shown]
    lines = operator.types("targets", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "MODE", "RINGS", "CALLER", "ID", "CODECS", "ENDPOINTS"]
    assert lines[1].split() == ["support", "blind", "30", "s", "caller", "PCMA", f"{URI},", OTHER]
    assert "header X-Queue  first" in operator.types("targets", "show", "support").stdout


def test_what_a_new_target_does_not_say_is_taken_from_the_configuration(operator: Operator) -> None:
    operator.writes_settings(transfer={"ring_timeout": 12.0, "caller_id": "agent"})
    added = operator.reads("targets", "add", "support", URI)
    assert (added["ring_timeout"], added["caller_id"]) == (12.0, "agent")
    added = operator.reads("targets", "add", "sales", OTHER, "--ring-timeout", "7", "--caller-id", "sip:me@example.com")
    assert (added["ring_timeout"], added["caller_id"]) == (7.0, "sip:me@example.com")


def test_adding_a_target_twice_is_refused_and_names_the_command_that_changes_it(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI)
    assert "handoff targets set support" in operator.fails(1, "targets", "add", "support", OTHER)
    assert operator.reads("targets", "show", "support")["endpoints"] == [{"uri": URI}]


def test_set_changes_what_is_given_and_nothing_else(operator: Operator) -> None:
    before = operator.reads("targets", "add", "support", URI, "--codec", "PCMA", "--header", "X-A: 1")
    after = operator.reads("targets", "set", "support", "--endpoint", OTHER, "--ring-timeout", "9")
    assert after == {**before, "endpoints": [{"uri": OTHER}], "ring_timeout": 9.0}
    after = operator.reads("targets", "set", "support", "--clear", "codecs", "--header", "X-B: 2")
    assert (after["codecs"], after["headers"]) == ([], {"X-B": "2"})
    assert operator.reads("targets", "set", "support", "--clear", "headers")["headers"] == {}
    assert operator.reads("targets", "show", "support")["headers"] == {}


def test_set_without_anything_to_change_is_wrong_usage(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI)
    assert "nothing to change" in operator.fails(2, "targets", "set", "support")


def test_a_removed_target_is_gone(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI)
    assert operator.reads("targets", "remove", "support") == {"removed": "support"}
    assert "there is no target 'support'" in operator.fails(1, "targets", "remove", "support")
    assert operator.reads("targets", "list") == []
    assert "no targets yet" in operator.types("targets", "list").stderr


@pytest.mark.parametrize("command", ["show", "remove"])
def test_an_unknown_target_is_answered_with_the_one_that_may_be_meant(operator: Operator, command: str) -> None:
    operator.reads("targets", "add", "support", URI)
    error = operator.fails(1, "targets", command, "suport")
    assert error == "Error: there is no target 'suport'; did you mean support?\n"


BAD = {
    "a name": (("add", "no such name", URI), "'no such name' is not a name"),
    "a name that is no text": (("show", "\udcff"), "is not a name"),
    "a URI": (("add", "support", "support"), "'support' is not a SIP URI"),
    "a line break in a URI": (("add", "support", "sip:a@b\r\nX: y"), "control character U+000D"),
    "a mode": (("add", "support", URI, "--mode", "blnd"), "did you mean blind?"),
    "a ring timeout": (("add", "support", URI, "--ring-timeout", "0"), "greater than or equal to 1"),
    "a ring timeout that is no number": (("add", "support", URI, "--ring-timeout", "soon"), "'soon' is not a valid"),
    "a ring timeout without end": (("add", "support", URI, "--ring-timeout", "inf"), "ring_timeout"),
    "a caller id": (("add", "support", URI, "--caller-id", "me"), "'me' is no caller id"),
    "a codec": (("add", "support", URI, "--codec", "G729"), "codecs[0]: 'G729' cannot be used"),
    "a header of ours": (("add", "support", URI, "--header", "Via: x"), "the header 'Via' may not be set"),
    "a header without colon": (("add", "support", URI, "--header", "X-A"), "write it as 'X-Name: value'"),
    "a header twice": (("add", "support", URI, "--header", "X-A: 1", "--header", "X-A: 2"), "given twice"),
    "a line break in a header": (("add", "support", URI, "--header", "X-A: 1\nVia: 2"), "control character U+000A"),
    "no URI": (("add", "support"), "Missing argument 'URI...'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused_with_a_sentence_and_changes_nothing(operator: Operator, kind: str) -> None:
    words, sentence = BAD[kind]
    assert sentence in operator.fails(2, "targets", *words)
    assert operator.reads("targets", "list") == []


def test_all_problems_of_a_target_are_told_at_once_also_as_json(operator: Operator) -> None:
    words = ("targets", "add", "support", "tel", "--codec", "G729", "--json")
    error = json.loads(operator.fails(2, *words))
    assert error["error"] == "target 'support' cannot be used"
    assert [problem["where"] for problem in error["problems"]] == ["endpoints[0].uri", "codecs[0]"]
    assert all(problem["what"] and problem["mend"] for problem in error["problems"])


def test_what_was_exported_can_be_imported_elsewhere(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI, "--header", "X-A: grün", "--codec", "opus")
    operator.reads("targets", "add", "sales", OTHER, "--ring-timeout", "5")
    exported = operator.types("targets", "export").stdout
    (operator.folder / "targets.json").write_text(exported)
    for name in ("sales", "support"):
        operator.reads("targets", "remove", name)
    assert operator.reads("targets", "import", "targets.json") == {"imported": ["sales", "support"]}
    assert operator.types("targets", "export").stdout == exported


def test_targets_are_imported_from_toml_with_the_defaults_of_the_configuration(operator: Operator) -> None:
    operator.writes_settings(transfer={"ring_timeout": 12.0})
    text = (
        f'[[targets]]\nname = "support"\nendpoints = ["{URI}"]\n[[targets]]\nname = "sales"\nendpoints = ["{OTHER}"]\n'
    )
    (operator.folder / "targets.toml").write_text(text)
    assert operator.types("targets", "import", "targets.toml").output == "2 targets imported\n"
    assert [target["ring_timeout"] for target in operator.reads("targets", "list")] == [12.0, 12.0]


def test_targets_are_imported_from_stdin(operator: Operator) -> None:
    """A file of root's cannot be read by the command of a service, but be handed to it."""
    operator.reads("targets", "add", "support", "sip:support@127.0.0.1:5070")
    exported = operator.types("targets", "export").stdout
    operator.reads("targets", "remove", "support")
    assert operator.types("targets", "import", "-", stdin=exported).output == "1 target imported\n"
    assert [target["name"] for target in operator.reads("targets", "list")] == ["support"]


def test_one_imported_target_is_no_plural(operator: Operator) -> None:
    (operator.folder / "one.json").write_text(json.dumps([{"name": "support", "endpoints": [URI]}]))
    assert operator.types("targets", "import", "one.json").output == "1 target imported\n"


def test_one_bad_target_keeps_the_others_out_and_every_problem_is_told(operator: Operator) -> None:
    operator.reads("targets", "add", "kept", URI)
    entries = [
        {"name": "good", "endpoints": [URI]},
        {"name": "kept", "endpoints": [OTHER]},
        {"name": "good", "endpoints": [URI]},
        {"name": "bad", "endpoints": ["nothing"], "ring_timeouts": 5},
        "support",
    ]
    (operator.folder / "targets.json").write_text(json.dumps(entries))
    error = operator.fails(2, "targets", "import", "targets.json")
    assert "targets.json has 5 problems:" in error
    assert "targets[1].name: there is a target kept already; give --replace" in error
    assert "targets[2].name: good is there twice" in error
    assert "targets[3].endpoints[0].uri: 'nothing' is not a SIP URI" in error
    assert "targets[3].ring_timeouts: is not known here; did you mean ring_timeout?" in error
    assert "targets[4]: 'support' is not a target" in error
    assert [target["name"] for target in operator.reads("targets", "list")] == ["kept"]


def test_import_replaces_targets_of_the_same_name_when_asked_to(operator: Operator) -> None:
    operator.reads("targets", "add", "kept", URI)
    operator.reads("targets", "add", "support", URI)
    (operator.folder / "targets.json").write_text(json.dumps([{"name": "support", "endpoints": [OTHER]}]))
    operator.reads("targets", "import", "targets.json", "--replace")
    found = {target["name"]: target["endpoints"] for target in operator.reads("targets", "list")}
    assert found == {"kept": [{"uri": URI}], "support": [{"uri": OTHER}]}


FILES = {
    "json": ("targets.json", b"[{", "it is not JSON"),
    "deep json": ("targets.json", b"[" * 100_000, "it is nested too deeply"),
    "toml": ("targets.toml", b"[[targets]\n", "it is not TOML"),
    "bytes": ("targets.json", b"[\xff]", "byte 2 is not UTF-8"),
    "a number": ("targets.json", b"5", "it holds no list of targets"),
    "another key": ("targets.json", b'{"target": []}', "'target' is not known here"),
    "no list": ("targets.toml", b'targets = "support"', "it holds no list of targets"),
    "a name of another kind": ("targets.json", b'[{"name": 5, "endpoints": []}]', "targets[0].name: 5 cannot be used"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_list_of_targets_is_refused_with_a_sentence(operator: Operator, kind: str) -> None:
    name, content, sentence = FILES[kind]
    (operator.folder / name).write_bytes(content)
    assert sentence in operator.fails(2, "targets", "import", name)


def test_a_file_that_is_not_there_or_a_folder_is_refused_with_a_sentence(operator: Operator) -> None:
    assert "it cannot be read (No such file or directory)" in operator.fails(2, "targets", "import", "none.json")
    assert "it cannot be read (Is a directory)" in operator.fails(2, "targets", "import", ".")


def test_a_stored_target_that_cannot_be_read_is_told_and_the_others_are_listed(operator: Operator) -> None:
    operator.reads("targets", "add", "support", URI)
    with operator.store() as store:
        store.put_target("broken", b'{"name": "broken"}')
    result = operator.types("targets", "list")
    assert result.exit_code == 2
    assert "support" in result.stdout
    assert "broken: it cannot be read (endpoints: is missing); handoff targets remove broken" in result.stderr
    assert "endpoints: is missing" in operator.fails(2, "targets", "show", "broken")
    assert operator.reads("targets", "remove", "broken") == {"removed": "broken"}


COMMANDS = [("list",), ("show", "support"), ("add", "support", URI), ("remove", "support"), ("export",)]


@pytest.mark.parametrize("words", COMMANDS)
def test_without_redis_each_command_ends_with_3_and_says_where_redis_should_be(
    operator: Operator, redis: RedisServer, words: tuple[str, ...]
) -> None:
    redis.stop()
    error = operator.fails(3, "targets", *words)
    assert error.startswith(f"Error: Redis at {redis.path} is not available")


def test_without_a_running_handoff_and_a_configuration_it_says_what_to_start(operator: Operator) -> None:
    (operator.folder / "settings.json").unlink()
    assert "(cp deploy/handoff.toml handoff.toml), write your agents" in operator.fails(2, "targets", "list")


def test_a_configuration_without_redis_means_the_one_of_the_running_handoff(operator: Operator) -> None:
    pool = '[[pools]]\nname = "agents"\nnumbers = ["*"]\nagents = [{uri = "sip:a@127.0.0.1"}]\n'
    (operator.folder / "handoff.toml").write_text(f"[transfer]\nring_timeout = 8\n{pool}")
    words = ("targets", "add", "support", URI, "--config", "handoff.toml")
    assert operator.reads(*words)["ring_timeout"] == 8.0
    assert [target["name"] for target in operator.reads("targets", "list")] == ["support"]
    (operator.folder / "settings.json").unlink()
    error = operator.fails(3, "targets", "list", "--config", "handoff.toml")
    assert "`systemctl start handoff`, or `handoff up`" in error


def test_all_problems_of_the_configuration_are_told(operator: Operator) -> None:
    (operator.folder / "handoff.toml").write_text("[node]\nworkers = 0\n[sip]\nlisten = 5\n")
    error = operator.fails(2, "targets", "list", "--config", "handoff.toml")
    assert "handoff.toml has 3 problems:" in error
    assert "there is no such file" in operator.fails(2, "targets", "list", "--config", "none.toml")


@pytest.mark.parametrize("text", ["", "[]", "{", "5"])
def test_spoilt_settings_of_the_running_handoff_are_told(operator: Operator, text: str) -> None:
    (operator.folder / "settings.json").write_text(text)
    assert "it is not what `handoff up` writes" in operator.fails(2, "targets", "list")


def test_a_redis_url_with_an_unknown_option_is_told_without_a_traceback(operator: Operator) -> None:
    operator.writes_settings(redis={"url": "redis://127.0.0.1:1?colour=red"})
    assert "redis.url cannot be used" in operator.fails(2, "targets", "list")


def test_every_command_documents_its_exit_codes_and_json(operator: Operator) -> None:
    groups = {
        "targets": ("add", "list", "show", "set", "remove", "import", "export"),
        "calls": ("list", "show", "transfer", "summary", "cancel", "watch"),
        "doctor": ("",),
        "exporter": ("",),
    }
    for group, commands in groups.items():
        for command in commands:
            text = operator.types(*filter(None, (group, command)), "--help").output
            assert "Exit codes: 0 ok, 1 failed or not found, 2 wrong usage or configuration" in text
            assert "--json" in text


def test_how_a_target_is_told_of_the_handover_is_one_of_three_words(operator: Operator) -> None:
    assert operator.reads("targets", "add", "support", URI)["diversion"] == "none"
    assert operator.reads("targets", "set", "support", "--diversion", "history-info")["diversion"] == "history-info"
    assert "did you mean diversion?" in operator.fails(2, "targets", "set", "support", "--diversion", "divert")
    assert operator.reads("targets", "set", "support", "--clear", "diversion")["diversion"] == "none"
