"""Reading compressed files so that what is whole survives a file that ends early or is damaged."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_PLAIN = 1 << 22
_PIECE = 1 << 13  # compressed bytes given to a decoder at once; a fault loses at most what these hold
_BATCH = 1 << 22  # decompressed bytes handed on at once


def chunks_of(path: Path, faults: list[str]) -> Iterator[bytes]:
    """Yield a file's decompressed bytes (`.zst`, `.gz` or plain); a fault ends the stream and is added to `faults`."""
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        pieces = iter(lambda: stream.read(_PIECE), b"")
        if head == b"\x28\xb5\x2f\xfd":
            import zstandard

            decoders: Callable[[], Any] = zstandard.ZstdDecompressor().decompressobj
            yield from _decoded(pieces, decoders, zstandard.ZstdError, path.name, faults)
        elif head[:2] == b"\x1f\x8b":
            yield from _decoded(pieces, lambda: zlib.decompressobj(wbits=31), zlib.error, path.name, faults)
        else:
            yield from iter(lambda: stream.read(_PLAIN), b"")


def _decoded(
    pieces: Iterator[bytes], new_decoder: Callable[[], Any], error: type[Exception], name: str, faults: list[str]
) -> Iterator[bytes]:
    # One file may hold several compressed streams, one behind the other.
    decoder, is_open = new_decoder(), False
    done: list[bytes] = []
    size = 0
    fault = None
    for piece in pieces:
        rest = piece
        try:
            while rest:
                is_open = True
                done.append(decoder.decompress(rest))
                size += len(done[-1])
                rest = b""
                if decoder.eof:
                    rest, is_open = decoder.unused_data, False
                    decoder = new_decoder()
        except error as cause:
            fault = f"{name} is corrupt ({cause}); the rows before the fault were read"
            break
        if size >= _BATCH:
            yield b"".join(done)
            done, size = [], 0
    yield b"".join(done)
    if fault is None and is_open:
        fault = f"{name} ends early (the compressed stream is cut off); the whole rows before the end were read"
    if fault is not None:
        faults.append(fault)
