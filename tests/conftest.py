"""What holds for all tests."""

from __future__ import annotations

import signal

# A shell that runs the tests in the background has Ctrl-C ignored, and all that they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
