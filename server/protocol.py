"""HTTP/1.1 as uvicorn speaks it, with a bound on the head of a request and leave to write URLs in UTF-8.

uvicorn's httptools protocol collects a request line and headers of any length; here a client that sends more
than :data:`MAX_HEAD_BYTES` of them is cut off. And its parser takes ASCII only, while symbols need not be:
curl, for one, sends a URL as it was typed.
"""

import re
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES: Final = 65536

_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedHttpProtocol(HttpToolsProtocol):
    """Ends the connection of a client whose request head does not end.

    Bytes are counted by whole reads, so what is kept of an unfinished head is at most
    :data:`MAX_HEAD_BYTES` and one read more.
    """

    _in_head = True
    _head_bytes = 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            if not data.isascii():
                # The first line of these bytes is the request's, or a header's that says nothing to us.
                line, end, rest = data.partition(b"\r\n")
                data = _NOT_ASCII.sub(lambda byte: b"%%%02X" % ord(byte[0]), line) + end + rest
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()
