"""Every error the project raises on purpose. It stands here because all rooms need the words.

An error says what went wrong and where (its message), what to do (`hint`) and whether trying again
may help (`retryable`). Raise low, decide in one place, log once.
"""

from __future__ import annotations

from typing import ClassVar


class GatewayError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(GatewayError):
    """A file that a human wrote is wrong; the message names file and line."""

    exit_code = 3


class DriverError(GatewayError):
    """A meter or its bus did not give a value."""

    retryable = True
    exit_code = 4
    cause: ClassVar[str] = "meter"  # the accounting cause of the missed reading


class LinkDown(DriverError):
    """No connection to the bus: refused, unplugged, not permitted."""

    cause = "bus"


class NoReply(DriverError):
    """The meter stayed silent for the time-out."""


class BadFrame(DriverError):
    """Bytes came that are not the answer to our question. Never a value."""

    exit_code = 5


class Refused(DriverError):
    """The meter answered with an exception."""

    retryable = False
    exit_code = 5

    def __init__(self, message: str, *, code: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class Implausible(DriverError):
    """The answer is well-formed, but physics forbids its value."""

    exit_code = 5


class StoreError(GatewayError):
    """The log or a file beside it."""

    exit_code = 7


class DiskFull(StoreError):
    retryable = True


class Corrupt(StoreError):
    pass


class UplinkError(GatewayError):
    """The broker."""

    retryable = True
    exit_code = 6


class Unreachable(UplinkError):
    pass


class NotAuthorised(UplinkError):
    pass


class NoAck(UplinkError):
    """A batch was sent and not acknowledged in time."""


class NotRunning(GatewayError):
    """`live` is missing or older than five seconds."""

    exit_code = 9
