"""One system call for a response, where the server makes two: one for its head, one for its body.

That is an eighth of what an answer from the cache costs, and the caller, too, has one packet to read.
"""

import asyncio

_LENGTH_IS_KNOWN = b"\r\ncontent-length: "  # the server writes names in lower case


class JoinedWrites:
    """What one response is written to: its head waits for its body, and goes to *transport* with it.

    Only a head that tells the body's length waits: the body is there, then, while a stream's may come late.
    Not for responses to HEAD, which have a length and no body.
    """

    __slots__ = ("_begun", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._begun = False

    def write(self, data: bytes) -> None:
        """Send *data*, or keep it if it is a head."""
        if self._head:
            data, self._head = self._head + data, b""
        elif not self._begun and _LENGTH_IS_KNOWN in data:  # before that, 100 Continue may go out
            self._head, self._begun = data, True
            return
        self._transport.write(data)

    def close(self) -> None:
        """Send what is kept, and close the connection."""
        if self._head:
            self.write(b"")
        self._transport.close()

    def is_closing(self) -> bool:
        """Tell whether the connection is closed, or about to be."""
        return self._transport.is_closing()
