"""The server's websocket, as far as the tests need it: read messages, text as JSON and binary as bytes."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
from types import TracebackType
from typing import Any

TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9


class ComfySocket:
    """Messages that the server sends to one client id; a context manager."""

    def __init__(self, port: int, client_id: str, seconds: float = 120.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws?clientId={client_id} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        assert b" 101 " in self.stream.readline()
        while self.stream.readline().strip():
            continue

    def __enter__(self) -> ComfySocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stream.close()
        self.socket.close()

    def read(self) -> dict[str, Any] | bytes:
        """The next message."""
        while True:
            first, second = self.stream.read(2)
            length = second & 127
            if length == 126:
                (length,) = struct.unpack(">H", self.stream.read(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self.stream.read(8))
            data = self.stream.read(length)
            kind = first & 15
            assert first & 128 and kind != CLOSE, "the server closed the connection or split a message"
            if kind == TEXT:
                return dict(json.loads(data))
            if kind == BINARY:
                return data
