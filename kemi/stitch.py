"""Making a message of one dialog one of another: Call-ID, From, To, CSeq, Contact and routes.

While caller and agent share a dialog only the CSeq may differ, where handoff has sent requests of its own in between.
After the bridge, caller and target have dialogs of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import KSR

from kemi.message import sip_call_id, text, uri_of

if TYPE_CHECKING:
    from routing.dialog import Dialog

NAMES = ("Call-ID", "From", "To", "CSeq", "Contact")


def rewrite_request(dialog: Dialog, cseq: int, method: str, contact: str) -> bool:
    """Make the request at hand one of another dialog; within the same one only the CSeq may differ.

    Gives whether anything was changed, which then must be undone in the response.
    """
    if dialog.call_id == sip_call_id():
        KSR.rr.loose_route()
        if str(cseq) == text("$cs"):
            return False
        KSR.hdr.remove("CSeq")
        KSR.hdr.append(f"CSeq: {cseq} {method}\r\n")
        return True
    for name in (*NAMES, "Route"):
        KSR.hdr.remove(name)
    fields = [
        f"From: {dialog.local};tag={dialog.local_tag}",
        f"To: {dialog.remote};tag={dialog.remote_tag}",
        f"Call-ID: {dialog.call_id}",
        f"CSeq: {cseq} {method}",
        f"Contact: {contact}",
        *(f"Route: {route}" for route in dialog.routes),
    ]
    KSR.hdr.append("".join(f"{field}\r\n" for field in fields))
    KSR.pv.sets("$ru", dialog.remote_target)
    if dialog.routes:
        KSR.pv.sets("$du", uri_of(dialog.routes[0]))
    else:
        KSR.pv.unset("$du")
    return True


def restore_response(contact: str) -> None:
    """Bring the response at hand back into the dialog of its request."""
    original, cseq, method = text("$T_req($ci)"), text("$T_req($cs)"), text("$rm")
    if sip_call_id() != original:
        for name in (*NAMES, "Record-Route"):
            KSR.hdr.remove(name)
        fields = [
            f"From: {text('$T_req($hdr(From))')}",
            f"To: {text('$T_req($hdr(To))')}",
            f"Call-ID: {original}",
            f"CSeq: {cseq} {method}",
            f"Contact: {contact}",
        ]
        KSR.hdr.append("".join(f"{field}\r\n" for field in fields))
    elif text("$cs") != cseq:
        KSR.hdr.remove("CSeq")
        KSR.hdr.append(f"CSeq: {cseq} {method}\r\n")
