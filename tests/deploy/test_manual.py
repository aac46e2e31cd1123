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
from routing.settings import make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "deploy/README.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
A_POOL = [{"name": "agents", "numbers": ["*"], "agents": [{"uri": "sip:192.0.2.10"}]}]
WORD = re.compile(r"`(handoff [^`]*)`")


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


@pytest.mark.parametrize("text", snippets("toml"))
def test_each_configuration_can_be_used(text: str) -> None:
    data = tomllib.loads(text)
    assert data
    make_settings({"pools": A_POOL} | data)


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_each_command_parses(line: str) -> None:
    words = [word for word in shlex.split(line, comments=True)[1:] if word != "..."]
    words = words[: words.index(">")] if ">" in words else words
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


def test_every_link_within_the_manual_leads_to_a_heading_or_a_file() -> None:
    text = (ROOT / "deploy/README.md").read_text()
    prose = FENCE.sub("", text)
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in prose.splitlines()
        if line.startswith("#")
    }
    links = re.findall(r"\]\(([^)]+)\)", prose)
    assert links
    for link in links:
        assert link[1:] in headings if link.startswith("#") else (ROOT / "deploy" / link).exists(), link
