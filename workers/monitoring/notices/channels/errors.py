"""Why a channel did not take a message.

ChannelError
+ Refused   it never will: a wrong token, an address that is gone, a message that it does not understand
+ Busy      not now: it says when to come again
+ Away      it did not answer, or broke: try again with backoff

The text is for operators; it never holds an address, a token or what was sent.
"""


class ChannelError(Exception):
    """Base class: what went wrong, for people."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Refused(ChannelError):
    """The channel will never take this message."""


class Away(ChannelError):
    """The channel did not answer, or answered that it is broken."""


class Busy(Away):
    """The channel takes no more for *wait_s* seconds."""

    def __init__(self, why: str, wait_s: float) -> None:
        super().__init__(why)
        self.args = (why, wait_s)
        self.wait_s = wait_s
