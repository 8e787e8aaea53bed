"""Reading compressed files so that what is whole survives a file that ends early."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 22


def chunks_of(path: Path, faults: list[str]) -> Iterator[bytes]:
    """Yield a file's decompressed bytes (`.zst`, `.gz` or plain); a fault ends the stream and is added to `faults`."""
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        if head == b"\x28\xb5\x2f\xfd":
            yield from _zstd(iter(lambda: stream.read(_CHUNK), b""), path.name, faults)
        elif head[:2] == b"\x1f\x8b":
            yield from _gzip(iter(lambda: stream.read(_CHUNK), b""), path.name, faults)
        else:
            yield from iter(lambda: stream.read(_CHUNK), b"")


def _zstd(blocks: Iterator[bytes], name: str, faults: list[str]) -> Iterator[bytes]:
    import zstandard

    decoder = zstandard.ZstdDecompressor().decompressobj()
    is_open = False
    try:
        for block in blocks:
            rest = block
            while rest:
                is_open = True
                yield decoder.decompress(rest)
                rest = b""
                if decoder.eof:
                    rest, is_open = decoder.unused_data, False
                    decoder = zstandard.ZstdDecompressor().decompressobj()
    except zstandard.ZstdError as cause:
        faults.append(f"{name} is corrupt ({cause}); the rows before the fault were read")
        return
    if is_open:
        faults.append(f"{name} ends early (the zstd stream is cut off); the whole rows before the end were read")


def _gzip(blocks: Iterator[bytes], name: str, faults: list[str]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    is_open = False
    try:
        for block in blocks:
            rest = block
            while rest:
                is_open = True
                yield decoder.decompress(rest)
                rest = b""
                if decoder.eof:
                    rest, is_open = decoder.unused_data, False
                    decoder = zlib.decompressobj(wbits=31)
    except zlib.error as cause:
        faults.append(f"{name} is corrupt ({cause}); the rows before the fault were read")
        return
    if is_open:
        faults.append(f"{name} ends early (the gzip stream is cut off); the whole rows before the end were read")
