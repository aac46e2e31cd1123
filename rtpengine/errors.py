"""What can go wrong between handoff and rtpengine, each error with a sentence for people in `.text`."""

from __future__ import annotations


class RtpengineError(Exception):
    """Base of all errors of this package; `text` says what happened, where, and how to mend it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class NodeFailed(RtpengineError):
    """A node gave no answer; whether the command took effect is unknown."""

    def __init__(self, node: str, command: str, text: str) -> None:
        super().__init__(text)
        self.node = node
        self.command = command


class DeadlineExceeded(NodeFailed):
    """No reply came within the deadline, in spite of retransmissions."""

    def __init__(self, node: str, command: str, seconds: float) -> None:
        super().__init__(
            node,
            command,
            f"rtpengine node {node!r} did not answer {command!r} within {seconds:g} s; "
            "check that it runs and is not overloaded",
        )
        self.seconds = seconds


class NodeUnreachable(NodeFailed):
    """The system says at once that nobody listens at the node's address, or that it cannot be sent to."""

    def __init__(self, node: str, command: str, reason: str) -> None:
        super().__init__(
            node,
            command,
            f"rtpengine node {node!r} cannot be reached for {command!r}: {reason}; "
            "check that it runs and that its address in the settings is its listen-ng address",
        )
        self.reason = reason


class CommandRefused(RtpengineError):
    """rtpengine understood the command and said no, or said ok where it plainly did not do it."""

    def __init__(self, node: str, command: str, reason: str) -> None:
        super().__init__(f"rtpengine node {node!r} refused {command!r}: {reason}")
        self.node = node
        self.command = command
        self.reason = reason


class BadReply(RtpengineError):
    """The reply bears our cookie but is not what the ng protocol promises."""

    def __init__(self, node: str, command: str, detail: str) -> None:
        super().__init__(
            f"rtpengine node {node!r} answered {command!r} with something else than the ng protocol says: "
            f"{detail}; check that the address is that of an rtpengine"
        )
        self.node = node
        self.command = command
        self.detail = detail


class NoNodeAvailable(RtpengineError):
    """No node is healthy, so no new call can be taken."""

    def __init__(self, nodes: tuple[str, ...]) -> None:
        known = ", ".join(nodes) or "none"
        super().__init__(f"no rtpengine node is healthy (configured: {known}); start one or mend its address")
        self.nodes = nodes


class UnknownNode(RtpengineError):
    """A call is pinned to a node that the settings do not name."""

    def __init__(self, node: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"no rtpengine node is named {node!r} (known: {', '.join(known) or 'none'}); "
            "name it in the settings as long as calls use it"
        )
        self.node = node


class BadAddress(RtpengineError):
    """A node's address is not of the form host:port."""

    def __init__(self, node: str, address: str) -> None:
        super().__init__(
            f"the address {address!r} of rtpengine node {node!r} is not host:port; "
            "write it like 127.0.0.1:2223 or [::1]:2223"
        )
        self.node = node
        self.address = address
