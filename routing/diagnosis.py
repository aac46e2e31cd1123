"""Why a transfer failed, and what to do: rules over what its record says, the first that fits; no guesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.diagnosis_facts import Diagnosis, Facts, Rule
from routing.diagnosis_heard import audio
from routing.diagnosis_ours import OURS
from routing.diagnosis_theirs import caller_id, cause, congestion, glare, login, offer, refer, rested, said
from routing.outcomes import Outcome

if TYPE_CHECKING:
    from routing.heard import Heard
    from routing.transfer_record import Transfer

__all__ = ["RULES", "Diagnosis", "diagnose"]

RULES: tuple[Rule, ...] = (*OURS[:2], glare, refer, rested, *OURS[2:], login, offer, cause, caller_id, congestion, said)
"""In this order: what ended all, what can be mended here, what the endpoint said."""


def diagnose(transfer: Transfer, heard: Heard | None = None) -> Diagnosis | None:
    """Tell the cause and the mend of a transfer that failed, or whose parties were not `heard`.

    None for one that is under way or went well, and where what is recorded does not tell.
    """
    if transfer.outcome is None:
        return None
    if transfer.outcome is Outcome.CONNECTED:
        return audio(transfer, heard) if heard else None
    facts = Facts.of(transfer)
    return next((found for rule in RULES if (found := rule(facts))), None)
