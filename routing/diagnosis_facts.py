"""What rules look at: one finished transfer, and the attempt that decided it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from routing.transfer_record import Method
from routing.uris import host_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from routing.faults import Fault
    from routing.outcomes import Outcome
    from routing.transfer_record import Attempt, Transfer


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a transfer went wrong: the rule that says so, the cause, and how to mend it, in plain words."""

    rule: Fault
    cause: str
    mend: str

    def __str__(self) -> str:
        return f"{self.cause}; {self.mend}"


@dataclass(frozen=True, slots=True)
class Facts:
    """A failed transfer; `attempt` is the one that gave it its status, None where no endpoint did."""

    transfer: Transfer
    attempt: Attempt | None

    @classmethod
    def of(cls, transfer: Transfer) -> Facts:
        """Find the attempt that decided: the last one with the status of the whole, if it was made at all."""
        made = (each for each in reversed(transfer.attempts) if each.leg or each.method is Method.REFER)
        return cls(transfer, next((each for each in made if each.status == transfer.status), None))

    @property
    def outcome(self) -> Outcome | None:
        """How the transfer ended."""
        return self.transfer.outcome

    @property
    def status(self) -> int:
        """The status that the transfer ended with; 0 where it has none."""
        return self.transfer.status or 0

    @property
    def reason(self) -> str:
        """The reason that belongs to it."""
        return self.transfer.reason or ""

    @property
    def said(self) -> str:
        """Status and reason, as people write them."""
        return f"{self.status} {self.reason}"

    @property
    def theirs(self) -> bool:
        """Whether the endpoint said so itself."""
        return self.attempt is not None and self.attempt.theirs

    @property
    def referred(self) -> bool:
        """Whether the caller's side was to call the target."""
        return self.attempt is not None and self.attempt.method is Method.REFER

    @property
    def uri(self) -> str:
        """The endpoint."""
        return self.attempt.uri if self.attempt else self.transfer.target

    @property
    def name(self) -> str:
        """The target's name for commands; NAME where it was a mere URI."""
        return "NAME" if ":" in self.transfer.target else self.transfer.target

    @property
    def host(self) -> str:
        """Its host."""
        return host_of(self.uri)


Rule: TypeAlias = "Callable[[Facts], Diagnosis | None]"


def is_name(host: str) -> bool:
    """Tell a name, for DNS, from an address."""
    try:
        ip_address(host)
    except ValueError:
        return True
    return False
