"""A SIP dialog as a part of a call's record.

A `Dialog` is one SIP dialog as handoff, a user agent towards that party, sees it (RFC 3261 section 12): `local` is whom
handoff speaks as, `remote` is the party itself. While nothing has been transferred, caller and agent share one dialog,
so the two `Dialog`s of a call mirror one another; after the bridge, caller and target have dialogs of their own and
handoff translates between them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """A frozen part of a call's record; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Dialog(Record):
    """One dialog as handoff sees it, with all that a request within it needs (RFC 3261 section 12.2)."""

    call_id: str
    local: str
    local_tag: str
    remote: str
    remote_tag: str
    remote_target: str
    routes: tuple[str, ...] = ()
    local_cseq: int = 0
    remote_cseq: int = 0
    invite_cseq: tuple[int, int] | None = None
    """CSeq of the last INVITE relayed to this party: as its sender numbered it, and as we did; the ACK needs both."""
    ca_file: str = ""
    """Who certifies its host, where its target says so."""

    def next_cseq(self, incoming: int = 0) -> int:
        """Give the CSeq for the next request to this party: above all sent, and the sender's own where that is."""
        return max(self.local_cseq + 1, incoming)
