"""The manual is true: its configurations load, its commands parse, its snippets are well-formed, the unit is good."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import subprocess
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import click
import pytest

from cli.main import handoff
from routing.settings import Settings, make_settings
from tests.stack.manual import FENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "deploy/README.md", "deploy/REFERENCE.md", "routing/README.md")
A_POOL = [{"name": "agents", "numbers": ["*"], "agents": [{"uri": "sip:192.0.2.10"}]}]
WORD = re.compile(r"`(handoff [^`]*)`")
LINK = re.compile(r"\]\(([^)]+)\)")
SECTIONS = set(Settings.model_fields) - {"transfer"}  # the events of webhooks are written like settings of that one
SETTING = re.compile(rf"`({'|'.join(sorted(SECTIONS))})\.([a-z_]+)\b")


def snippets(kind: str) -> list[str]:
    """Give all blocks of a kind."""
    texts = [(ROOT / page).read_text() for page in PAGES]
    return [body for text in texts for found, body in FENCE.findall(text) if found == kind]


def commands() -> Iterator[str]:
    """Give all lines of handoff's own commands, in blocks and in sentences."""
    for block in snippets("sh"):
        yield from (line for line in block.splitlines() if line.startswith("handoff "))
    for page in PAGES:
        yield from WORD.findall((ROOT / page).read_text())


def anchors(text: str) -> list[str]:
    """Give what links to the headings of a page look like, in their order."""
    headings = (line.lstrip("# ") for line in FENCE.sub("", text).splitlines() if line.startswith("#"))
    return [re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("text", snippets("toml"))
def test_each_configuration_can_be_used(text: str) -> None:
    data = tomllib.loads(text)
    assert data
    make_settings({"pools": A_POOL} | data)


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_each_command_parses(line: str) -> None:
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "..."]
    words = words[: next((at for at, word in enumerate(words) if word in "<>"), None)]
    command: click.Command = handoff
    context = click.Context(command, info_name="handoff")
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        if "|" in words[0]:  # one of several
            return
        name, words = words[0], words[1:]
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    if words and "--help" not in words:
        command.make_context(command.name, words, parent=context.parent, resilient_parsing=False)


@pytest.mark.parametrize("text", sorted(set(snippets("sh"))))
def test_each_shell_command_is_well_formed(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("text", snippets("xml"))
def test_each_xml_is_well_formed(text: str) -> None:
    assert ET.fromstring(text).tag == "include"


@pytest.mark.parametrize("text", snippets("json"))
def test_each_json_is_well_formed(text: str) -> None:
    assert json.loads(text)


@pytest.mark.parametrize("text", snippets("ini"))
def test_each_file_of_asterisk_has_sections_and_lines_with_values(text: str) -> None:
    parser = configparser.ConfigParser(strict=False, delimiters=("=>", "="), interpolation=None)
    parser.read_string(text)
    assert parser.sections()


@pytest.mark.parametrize("text", snippets("python"))
def test_each_python_is_well_formed(text: str) -> None:
    assert ast.parse("async def snippet():\n" + textwrap.indent(text, " ")).body


@pytest.mark.parametrize("text", snippets("kamailio"))
def test_kamailio_takes_what_stands_in_front(text: str, tmp_path: Path) -> None:
    (tmp_path / "nodes.list").write_text("1 sip:203.0.113.5:5060\n1 sip:203.0.113.6:5060\n")
    config = tmp_path / "front.cfg"
    config.write_text(text.replace("/etc/kamailio/handoff.list", str(tmp_path / "nodes.list")))
    done = subprocess.run(
        ["kamailio", "-c", "-l", "udp:127.0.0.1:5060", "-f", config], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_systemd_takes_the_unit_and_finds_it_well_protected(tmp_path: Path) -> None:
    """What it runs is at another place here."""
    unit = tmp_path / "handoff.service"
    text = (ROOT / "deploy/systemd/handoff.service").read_text()
    unit.write_text(text.replace("/opt/handoff/.venv/bin/handoff", "/usr/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_heading_or_a_file(page: str) -> None:
    """A heading of the same page, or of another one that has them."""
    here = ROOT / page
    links = LINK.findall(FENCE.sub("", here.read_text()))
    assert links
    for link in links:
        path, _, heading = link.partition("#")
        there = here.parent / path if path else here
        assert there.exists(), link
        assert not heading or heading in anchors(there.read_text()), link


@pytest.mark.parametrize("page", ["deploy/README.md", "deploy/REFERENCE.md"])
def test_every_heading_is_in_the_table_of_contents_in_its_order(page: str) -> None:
    text = FENCE.sub("", (ROOT / page).read_text())
    contents, _, rest = text.partition("\n## ")
    found = [heading for heading in anchors("## " + rest) if heading != "examples"]
    assert [link[1:] for link in LINK.findall(contents) if link.startswith("#")] == found


def test_every_page_is_reached_from_the_first() -> None:
    links = LINK.findall((ROOT / "README.md").read_text())
    assert {page for page in PAGES if page != "README.md"} <= set(links)


def test_the_first_page_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_is_named_exists(page: str) -> None:
    """Written as `section.setting`, with the section of handoff.toml."""
    settings = make_settings({"pools": A_POOL})
    named = SETTING.findall(FENCE.sub("", (ROOT / page).read_text()))
    assert [f"{section}.{name}" for section, name in named if not hasattr(getattr(settings, section), name)] == []


@pytest.mark.parametrize("command", ["log show", "trace", "targets test", "doctor", "status"])
def test_troubleshooting_names_every_tool(command: str) -> None:
    text = (ROOT / "deploy/README.md").read_text()
    tools = text.partition("## Troubleshooting\n")[2].partition("\n### ")[0]
    assert f"`handoff {command}" in tools
