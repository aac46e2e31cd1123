"""What would keep the stack from running on this machine: all of it at once, before anything is started."""

from __future__ import annotations

import os
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cli.daemons import CONFIG, SCRIPT, find_program
from cli.folders import find_sounds_problem
from cli.ports import find_port_problem, split_listen
from cli.tls_files import ca_fault
from cli.webhook_posts import find_webhook_secret
from routing.problems import Problem
from routing.store import StoreUnavailable, open_store
from routing.texts import BadValue
from rtpengine import Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from routing.settings import Settings

INSTALL = "run `make install`, or deploy/install.sh"
MODULES = ("app_python3", "tls")
PYTHON_HOME = "/usr"
LONGEST_SOCKET_PATH = 107
LONGEST_SOCKET_NAME = len("/kamailio_rpc.sock")
REDIS_PATIENCE = 1.0
RTPENGINE_PATIENCE = 1.0


class UnfitError(Exception):
    """The stack cannot be started here; the text is one line per problem."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(["handoff cannot start:", *(f"  {problem}" for problem in problems)]))
        self.problems = problems


def find_problems(settings: Settings, run_dir: Path) -> list[Problem]:
    """Look for everything that is missing, taken, forbidden or away."""
    problems = [*_programs(settings), *_path(run_dir), *_ports(settings), *_certificates(settings)]
    problems += _webhooks(settings)
    if settings.speech.folder and (problem := find_sounds_problem(Path(settings.speech.folder))):
        problems.append(problem)
    if settings.redis.url:
        problems += _redis(settings.redis.url)
    if settings.rtpengine.nodes:
        silent = silent_nodes(settings)
        # One node that answers is enough to carry calls: then it is for a warning.
        if len(silent) == len(settings.rtpengine.nodes):
            problems += silent
    return problems


def silent_nodes(settings: Settings) -> list[Problem]:
    """Ping the rtpengine nodes of the settings; tell which do not answer."""
    pool = Pool(settings.rtpengine.nodes, deadline=RTPENGINE_PATIENCE)
    try:
        answers = pool.ping_all()
    finally:
        pool.close()
    return [
        Problem(
            f"rtpengine.nodes.{name}",
            f"rtpengine does not answer at {settings.rtpengine.nodes[name]}",
            "check that it runs, that its listen-ng is this address, and that no firewall is between",
        )
        for name, answered in answers.items()
        if not answered
    ]


def _programs(settings: Settings) -> Iterator[Problem]:
    needed = ["setpriv", "kamailio"]
    needed += [] if settings.redis.url else ["redis-server"]
    needed += [] if settings.rtpengine.nodes else ["rtpengine"]
    needed += [] if settings.tls.certificate else ["openssl"]
    for name in needed:
        if find_program(name) is None:
            yield Problem(name, "this program is not installed", INSTALL)
    for module in MODULES if find_program("kamailio") else ():
        places = (f"{lib}/kamailio/modules/{module}.so" for lib in ("lib*", "lib/*", "local/lib*"))
        if not any(True for place in places for _ in Path("/usr").glob(place)):
            yield Problem("kamailio", f"its module {module} is not installed", INSTALL)
    if sys.base_prefix != PYTHON_HOME:
        what = f"handoff runs with the Python in {sys.base_prefix}, but Kamailio with the one in {PYTHON_HOME}"
        yield Problem("python", what, INSTALL)
    for path in (CONFIG, SCRIPT):
        if not path.is_file():
            yield Problem(str(path), "there is no such file", "run handoff from a whole checkout")


def _path(run_dir: Path) -> Iterator[Problem]:
    longest = LONGEST_SOCKET_PATH - LONGEST_SOCKET_NAME
    if len(bytes(run_dir)) > longest:
        what = f"the path is too long for the sockets in it (more than {longest} bytes)"
        yield Problem(str(run_dir), what, "choose a shorter one by --run-dir")
    if '"' in str(run_dir):
        yield Problem(str(run_dir), "Kamailio cannot read files at a path with quotes", "choose another by --run-dir")


def _ports(settings: Settings) -> Iterator[Problem]:
    for index, listen in enumerate(settings.sip.listen):
        if problem := find_port_problem(f"sip.listen[{index}]", *split_listen(listen)):
            yield problem
    if problem := find_port_problem("metrics.listen", *split_listen(f"tcp:{settings.metrics.listen}")):
        yield problem
    copies = settings.trace.listen if settings.trace.mode != "off" else None
    for where, at in (("trace.listen", copies), ("rtpengine.dtmf_listen", settings.rtpengine.dtmf_listen)):
        if at and (problem := find_port_problem(where, *split_listen(f"udp:{at}"))):
            yield problem
    if not settings.rtpengine.nodes:
        address = settings.rtpengine.interface.partition("!")[0]
        if problem := find_port_problem("rtpengine.interface", "udp", address, 0):
            yield problem


def _certificates(settings: Settings) -> Iterator[Problem]:
    """Read the files as Kamailio will: it would not start, and only its log would tell why."""
    tls = settings.tls
    if tls.certificate and tls.key:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
        except OSError as error:
            mend = "give a certificate and its own key, as PEM and not encrypted, which this user may read"
            yield Problem("tls.certificate", f"it cannot be used with tls.key ({error})", mend)
    if tls.ca_file and (why := ca_fault(tls.ca_file)):
        yield Problem("tls.ca_file", f"it cannot be used ({why})", "give a file of certificates as PEM")


def _webhooks(settings: Settings) -> Iterator[Problem]:
    """Read the secret as the exporter will: it would not start."""
    try:
        find_webhook_secret(settings.webhooks, os.environ)
    except BadValue as error:
        yield Problem("webhooks.secret", error.what.removeprefix("webhooks.secret: "), error.mend)


def _redis(url: str) -> Iterator[Problem]:
    try:
        with open_store(url, deadline=REDIS_PATIENCE) as store:
            store.ping()
    except StoreUnavailable as error:
        what = f"Redis at {error.where} is not available ({error.why})"
        yield Problem("redis.url", what, "check that it runs, or leave redis.url out: handoff then starts its own")
    except (ValueError, OSError) as error:
        yield Problem("redis.url", f"it cannot be used ({error})", "correct it")
