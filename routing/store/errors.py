"""What can go wrong with the store; `text` is the sentence for people."""

from __future__ import annotations


class StoreError(Exception):
    """The store could not do what it was asked; `text` says what, where and how to mend it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class StoreUnavailable(StoreError):
    """Redis cannot be reached, answers too late, or refuses; nothing is known of what it did with the request."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"Redis at {where} is not available ({why}): check that it runs and that redis.url is right")
        self.where = where
        self.why = why


class CallUnknown(StoreError):
    """There is no record of this call: it has ended, or was never ours."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"there is no call {call_id}: it has ended, or never came through here")
        self.call_id = call_id


class CallBusy(StoreError):
    """Another process has held the call's lease all the time that we waited."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"call {call_id} is being changed by another process for too long: try again")
        self.call_id = call_id


class LeaseLost(StoreError):
    """The lease had ended before the save, so nothing was written: another process may have changed the call."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"the lease of call {call_id} ended before the change was saved: nothing was written")
        self.call_id = call_id
