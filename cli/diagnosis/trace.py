"""Check that the SIP messages of calls reach the sidecar."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding, failed, ok, warning
from cli.effective import START, connect
from cli.output import Failed
from cli.probes import sip_answers
from cli.traces.asking import ask_sidecars
from cli.traces.place import find_family, trace_uri
from routing.store import StoreUnavailable

if TYPE_CHECKING:
    from routing.settings import Settings
    from routing.store import Store

PART = "trace"
NOBODY = "0" * 16
"""An id of no call: only the count of messages is wanted."""
ARRIVES_WITHIN = 2.0
PAUSE = 0.1


def check_trace(settings: Settings) -> list[Finding]:
    """Send OPTIONS to Kamailio and see whether its copy comes to the sidecar; nothing is said where that is off."""
    if settings.trace.mode == "off":
        return []
    if find_family(settings) is None:
        what = "SIP is not traced: Kamailio sends the copies by UDP, and sip.listen has no udp"
        return [
            warning(PART, what, 'add a place such as "udp:127.0.0.1:5060" to sip.listen, or set trace.mode = "off"')
        ]
    try:
        with connect(settings) as store:
            if trace_uri(settings) is not None:
                return [_check_copies(settings, store)]
            if settings.node.id not in store.nodes():
                return []  # `handoff up`, which picks a place, has not begun
    except (Failed, StoreUnavailable):
        return []  # the check of Redis tells
    what = "SIP is not traced: it is not known where the sidecar takes the copies"
    return [warning(PART, what, "set trace.listen, or use `handoff up`, which picks a port")]


def _check_copies(settings: Settings, store: Store) -> Finding:
    before, node = _count(store, settings), settings.node.id
    if before is None:
        return failed(PART, f"the sidecar of node {node} does not answer", f"{START}; if it runs, look at its log")
    if isinstance(before, str):
        return failed(PART, before, "restart the sidecar: it has other settings than these")
    if not sip_answers(settings.sip.listen):
        return warning(PART, "not checked, since Kamailio does not answer", "see what is said of sip above")
    until = time.monotonic() + ARRIVES_WITHIN
    while time.monotonic() < until:
        now = _count(store, settings)
        if isinstance(now, int) and now > before:
            return ok(PART, f"SIP messages come to the sidecar at {settings.trace.listen}: {now} so far")
        time.sleep(PAUSE)  # the sidecar tells what it has seen only when it is asked
    mend = (
        "restart handoff, so that Kamailio and the sidecar have the same trace.listen; see whether a firewall drops UDP"
    )
    return failed(PART, f"no SIP messages come to the sidecar at {settings.trace.listen}", mend)


def _count(store: Store, settings: Settings) -> int | str | None:
    """Ask the node's sidecar how many messages it has seen; a text says why it sees none."""
    answers, _ = ask_sidecars(store, NOBODY, only=[settings.node.id])
    answer = answers.get(settings.node.id)
    if answer is None:
        return None
    return int(answer["seen"]) if answer.get("ok") else str(answer.get("text"))
