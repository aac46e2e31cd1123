"""The typed stub of KSR is what the installed Kamailio offers, and offers what the adapter calls."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.kemi.kamailio import generate_stubs, installed_stub
from tests.ksr_stub import STUB, read_stub

KEMI = Path(__file__).resolve().parent.parent.parent / "kemi"

LISTING = """{
	msize: 2
	methods: {
		func: {
			ret: none
			module:
			name: info
			params: str
		}
		func: {
			ret: %s
			module: kx
			name: get_ruri
			params: none
		}
	}
}
"""


def ksr_calls(source: str) -> set[tuple[str, int | None]]:
    """Collect `KSR.module.function` with the number of its arguments, None where it is only mentioned or starred."""
    tree = ast.parse(source)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found: set[tuple[str, int | None]] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        name = ast.unparse(node)
        if re.fullmatch(r"KSR(\.\w+){1,2}", name) and name != "KSR.Message":
            call = calls.get(id(node))
            starred = call is not None and any(isinstance(arg, ast.Starred) for arg in call.args)
            found.add((name.removeprefix("KSR."), None if call is None or starred else len(call.args)))
    return found


def test_a_kamailio_that_misses_to_be_stopped_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate_stubs, "START_SECONDS", 0.1)
    deaf = ["sh", "-c", "trap '' TERM; echo up; cat"]
    with subprocess.Popen(deaf, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        generate_stubs.end(process)
        assert process.returncode == -signal.SIGKILL


def test_the_committed_stub_is_the_one_of_the_installed_kamailio() -> None:
    """Regenerating changes nothing; another release of Kamailio may offer more, but never less of what we call."""
    committed = STUB.read_text()
    if generate_stubs.release(committed) == generate_stubs.release(installed_stub()):
        assert committed.partition("\n")[2] == installed_stub().partition("\n")[2]
    ours, theirs = read_stub(committed), read_stub(installed_stub())
    called = {name for path in KEMI.glob("*.py") for name, _ in ksr_calls(path.read_text())}
    assert {name: ours.get(name) for name in called} == {name: theirs.get(name) for name in called}


@pytest.mark.parametrize("path", sorted(KEMI.glob("*.py")), ids=lambda path: path.stem)
def test_kamailio_offers_every_function_that_the_adapter_calls(path: Path) -> None:
    """Each `KSR.module.function` exists, with that many parameters."""
    offered = read_stub(installed_stub())
    wrong = [
        f"KSR.{name} with {count} arguments"
        for name, count in sorted(ksr_calls(path.read_text()), key=str)
        if name not in offered or count not in (None, len(offered[name].params))
    ]
    assert not wrong


def test_the_collector_sees_calls_mentions_and_core_functions() -> None:
    """A call counts its arguments; a mention and a starred call count none."""
    source = "KSR.info('x')\nrelay = KSR.tm.t_relay\nKSR.tm.t_reply(*both)\nx: KSR.Message\nKSR.hdr.get('A').strip()"
    assert ksr_calls(source) == {("info", 1), ("tm.t_relay", None), ("tm.t_reply", None), ("hdr.get", 1)}


@pytest.mark.parametrize(
    ("name", "params", "result"),
    [
        ("tm.t_relay", (), "int"),
        ("tm.t_reply", ("int", "str"), "int"),
        ("tm.t_uac_send", ("str",) * 6, "int"),
        ("pv.get", ("str",), "str | int | None"),
        ("pv.gete", ("str",), "str | int"),
        ("pv.sets", ("str", "str"), "bool"),
        ("hdr.get", ("str",), "str | None"),
        ("hdr.get_idx", ("str", "int"), "str | None"),
        ("kx.get_callid", (), "str"),
        ("kx.get_srcport", (), "int"),
        ("htable.sht_get", ("str", "str"), "str | int | None"),
        ("is_INVITE", (), "bool"),
        ("info", ("str",), "None"),
    ],
)
def test_the_stub_has_exact_types(name: str, params: tuple[str, ...], result: str) -> None:
    """Result types are those that KEMI gives to Python."""
    signature = read_stub(STUB.read_text())[name]
    assert (signature.params, signature.result) == (params, result)


def test_a_listing_becomes_sorted_functions() -> None:
    """Kamailio's text is read into functions of the core first, then of the modules."""
    functions = generate_stubs.parse(LISTING % "xval")
    assert [generate_stubs.signature(each) for each in functions] == [
        "def info(a: str, /) -> None: ...",
        "def get_ruri() -> str | None: ...",
    ]


def test_a_parameter_that_kamailio_has_no_word_for_may_be_anything() -> None:
    """Kamailio 6 writes so of a function that takes a long."""
    functions = generate_stubs.parse((LISTING % "bool").replace("params: str", "params: <nullstring>"))
    assert generate_stubs.signature(functions[0]) == "def info(a: object, /) -> None: ..."


def test_a_listing_of_another_form_is_refused() -> None:
    """A changed form must not end in a stub that lacks half of the functions."""
    with pytest.raises(SystemExit, match="has its form changed"):
        generate_stubs.parse(LISTING.replace("msize: 2", "msize: 3") % "int")


def test_a_kamailio_that_does_not_come_up_shows_its_log() -> None:
    """The error has Kamailio's own words, here of a script that cannot be loaded."""
    with pytest.raises(SystemExit, match="did not come up"), generate_stubs.running("this is not Python"):
        pass  # pragma: no cover
