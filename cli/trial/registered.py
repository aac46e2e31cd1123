"""Testing an endpoint that is a user of ours: where its phones are registered, and whether they reply.

They are asked by the node that they registered at: it alone has their connections, and their NATs let only it through.
"""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import TYPE_CHECKING

from cli.diagnosis.finding import Finding, Status, failed, ok, warning
from cli.effective import connect
from cli.output import counted, local_time
from cli.trial.endpoint import Report
from routing.users import read_contacts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from routing.settings import Settings
    from routing.store import Store
    from routing.users import Contact

SPARE = 2.0
"""Seconds beyond those that a phone has to reply: until the node has the command, and we the answer."""
NOT_TESTED = "calls, codecs and sound (phones that register take calls from handoff itself only: hand a call over)"


def look_up(settings: Settings, store: Store, uri: str, user: str) -> Callable[[Callable[[str], None]], Report]:
    """Find the phones of a user, and prepare to ask them."""
    known, entries = store.reach(user)
    if not known:
        mend = f"correct the endpoint, or add the user: handoff users add {user}"
        return _ended(uri, f"there is no user {user}", mend)
    registered = read_contacts(entries, time.time())
    phones = [phone for phone in registered if phone.suits(uri)]
    if registered and not phones:
        mend = "let a phone register by tls or wss, or write the endpoint as sip:"
        return _ended(uri, f"no phone of {user} is registered over TLS, which sips: asks for", mend)
    if not phones:
        return _ended(uri, f"no phone of {user} is registered", "see that a phone registers: handoff users list")
    return partial(_ask, settings, uri, phones, sorted(store.nodes()))


def _ended(uri: str, what: str, mend: str) -> Callable[[Callable[[str], None]], Report]:
    report = Report(uri, [failed("registration", what, mend)])
    return lambda _: report


def _ask(
    settings: Settings, uri: str, phones: Sequence[Contact], nodes: Sequence[str], tell: Callable[[str], None]
) -> Report:
    """Ask all phones at once; with a store of its own, since others wait for theirs in other threads."""
    tell("asking its phones")
    until = max(phone.expires_at for phone in phones)
    found = [ok("registration", f"{counted(len(phones), 'phone')}, registered until {local_time(until)}")]
    with connect(settings) as store:
        ids = [_send(store, phone) if phone.node in nodes else "" for phone in phones]
        give_up = time.monotonic() + settings.sip.no_reply_timeout + SPARE
        replies = [_await(store, command, give_up) for command in ids]
    some = any(judged[0] is Status.OK for judged in replies)
    found += [_judge(phone, *judged, others=some) for phone, judged in zip(phones, replies, strict=True)]
    return Report(uri, found, [NOT_TESTED])


def _send(store: Store, phone: Contact) -> str:
    command = {"id": uuid.uuid4().hex, "kind": "ask", "uri": phone.uri, "hop": phone.hop}
    store.send_command(phone.node, command)
    return command["id"]


def _await(store: Store, command: str, give_up: float) -> tuple[Status, str]:
    """Wait until it has replied; that it was asked is told as well, before or afterwards."""
    if not command:
        return Status.FAILED, "its node gives no sign of life"
    why = "its node does not take commands"
    while answer := store.await_answer(command, max(0.0, give_up - time.monotonic())):
        if not answer.get("ok"):
            return Status.FAILED, str(answer.get("text"))
        if "status" in answer:
            return Status.OK, f"replies {answer['status']} to OPTIONS"
        why = "no reply to OPTIONS"
    return Status.FAILED, why


def _judge(phone: Contact, status: Status, what: str, *, others: bool) -> Finding:
    """Judge one phone; one that is away does no harm where another one is there."""
    place = f"{phone.hop or phone.uri} ({phone.transport}, {phone.user_agent or 'unknown'}, at {phone.node})"
    if status is Status.OK:
        return ok("phone", f"{place} {what}")
    mend = f"see that it is on and online; it counts as there until {local_time(phone.expires_at)}"
    return (warning if others else failed)("phone", f"{place}: {what}", mend)
