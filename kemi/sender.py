"""Who sent the request at hand, and whether that is who it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kemi.message import Mark, SipError, addressed_call, sip_call_id, text
from routing.records import Party

if TYPE_CHECKING:
    from routing.records import Call


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent the request at hand, as far as the message itself tells."""

    call_id: str
    party: Party
    mark: Mark | None
    leg: int

    @classmethod
    def read(cls) -> Sender | None:
        """Find it from our Route, or from our Contact in the Request-URI; None for a stranger."""
        mark = Mark.read()
        if mark:
            party = Party.CALLER if text("$ft") == mark.caller_tag else Party.AGENT
            return cls(mark.call_id, party, mark, 0)
        addressed = addressed_call(text("$rU"))
        if addressed is None:
            return None
        call_id, leg = addressed
        return cls(call_id, Party.TARGET if leg else Party.CALLER, None, leg)

    def within(self, call: Call) -> Party:
        """Tell who it is in this call: a person who hands the call on is its agent."""
        return Party.AGENT if self.leg and self.leg == call.agent_leg else self.party

    def check(self, call: Call) -> None:
        """Refuse who does not know the dialog's Call-ID and tags (RFC 3261 section 12.2.2)."""
        dialog = call.dialog(self.within(call))
        if dialog is None and self.party is Party.TARGET and call.calling(self.leg):
            raise SipError(491, "Request Pending", retry_after=1)  # it overtook the 200 that makes the dialog
        known = dialog is not None and (
            dialog.call_id == sip_call_id() and dialog.remote_tag == text("$ft") and dialog.local_tag == text("$tt")
        )
        if not known:
            raise SipError(481, "Call/Transaction Does Not Exist")
