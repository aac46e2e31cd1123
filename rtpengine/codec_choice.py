"""Which codecs the receiver of an SDP is offered, when they are not just those of its sender."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rtpengine.sdp import EVENTS

if TYPE_CHECKING:
    from collections.abc import Collection

    from rtpengine.replies import Dictionary


@dataclass(frozen=True, slots=True)
class Codecs:
    """What the receiver of an SDP is offered besides, or instead of, the codecs that are in it.

    `transcode` names codecs to add, `mask` codecs to leave out ("all" for all of them) while the sender goes on
    using them, `spare` codecs of the SDP that survive a mask of "all". Names are those of SDP, case-sensitive:
    PCMU, PCMA, G722, opus. To be given in offers; answers follow from them.
    """

    transcode: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()

    @classmethod
    def adding(cls, names: tuple[str, ...]) -> Codecs:
        """Offer the codecs of the SDP first, then those of `names` that it lacks, in their order."""
        return cls(transcode=names)

    @classmethod
    def only(cls, names: tuple[str, ...]) -> Codecs:
        """Offer just `names`, in their order, and the SDP's DTMF events; what the sender uses is transcoded."""
        return cls(transcode=names, mask=("all",), spare=(EVENTS,))

    @property
    def only_adds(self) -> bool:
        """Whether it adds codecs of voices and does nothing else: who answers without them needs nothing of it."""
        return not self.mask and EVENTS not in self.transcode

    def needed_for(self, answered: Collection[str]) -> Codecs:
        """Leave out what the receiver has not answered with: rtpengine keeps a transcoder of each to a call's end."""
        return replace(self, transcode=tuple(name for name in self.transcode if name in answered))

    def keys(self) -> Dictionary:
        """Give the value of the ng key "codec"."""
        # Who has DTMF events keeps them when the other side answers without: rtpengine then makes tones of them.
        events = (EVENTS,) if self.transcode else ()
        lists = {"transcode": self.transcode, "mask": self.mask, "except": self.spare, "accept": events}
        return {key: names for key, names in lists.items() if names}
