"""Recordings: an append-only file of framed records, one file a session, from which a session can be run again.

A file begins with `MAGIC`. Every record is a frame: a fixed little-endian header `<IIHIq` (length of what follows it, CRC-32 of
that and of the rest of the header, length of the kind's name, length of the JSON, UTC nanoseconds), the kind's name, a JSON
header, and the columns that the JSON names under `"[]"` as raw little-endian bytes. Nothing is pickled. Each record reaches
the operating system in one write, so a killed process leaves whole records and at most one broken tail, which is cut off when
the file is opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from sovereign.core.errors import CorruptFileError, UsageError

MAGIC = b"SOVEREIGN-RECORDING-1\n"
HEADER = "Header"
"""Kind of the first record: what the session was run with."""

_FRAME = struct.Struct("<IIHIq")
_ARRAYS = "[]"
_LARGEST = 1 << 31  # a length beyond this is damage, not data
_DTYPES = {name: np.dtype(name).newbyteorder("<") for name in ("int8", "int16", "int32", "int64", "float64", "uint8")}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One record: `kind`, UTC ns, JSON-ready values and one-dimensional columns by name."""

    kind: str
    ts: int
    header: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes of a record.

    Raises
    ------
    UsageError : a column's type is not one of those that a recording keeps.
    """
    header = dict(frame.header)
    columns = []
    for name, array in frame.arrays.items():
        dtype = _DTYPES.get(array.dtype.name)
        if dtype is None:
            raise UsageError(f"column {name} was {array.dtype}; a recording keeps {', '.join(_DTYPES)}")
        columns.append(np.ascontiguousarray(array, dtype).tobytes())
    if columns:
        header[_ARRAYS] = [[name, array.dtype.name, len(array)] for name, array in frame.arrays.items()]
    kind = frame.kind.encode()
    plain = json.dumps(header, separators=(",", ":")).encode()
    body = b"".join((kind, plain, *columns))
    rest = struct.pack("<HIq", len(kind), len(plain), frame.ts)
    crc = zlib.crc32(body, zlib.crc32(rest))
    return struct.pack("<II", len(body), crc) + rest + body


def _decode(kind_length: int, plain_length: int, ts: int, body: bytes) -> Frame:
    kind = body[:kind_length].decode()
    header = json.loads(body[kind_length : kind_length + plain_length])
    arrays: dict[str, NDArray[Any]] = {}
    offset = kind_length + plain_length
    for name, dtype, count in header.pop(_ARRAYS, ()):
        wanted = _DTYPES[dtype]
        array = np.frombuffer(body, wanted, count, offset)
        arrays[name] = array.astype(wanted.newbyteorder("="), copy=False)
        offset += count * wanted.itemsize
    return Frame(kind, ts, header, arrays)


def frames_from(file: BinaryIO, position: int = 0) -> Iterator[tuple[Frame, int]]:
    """Yield whole frames from a position on, with the position behind each; stop at the first that is broken or incomplete.

    A reader that follows a recording while it is written goes on from the last position it was given; 0 is the beginning.
    """
    position = max(position, len(MAGIC))
    file.seek(position)
    while True:
        head = file.read(_FRAME.size)
        if len(head) < _FRAME.size:
            return
        length, crc, kind_length, plain_length, ts = _FRAME.unpack(head)
        if length > _LARGEST or kind_length + plain_length > length:
            return
        body = file.read(length)
        if len(body) < length or zlib.crc32(body, zlib.crc32(head[8:])) != crc:
            return
        position += _FRAME.size + length
        yield _decode(kind_length, plain_length, ts, body), position


def _open(path: Path) -> BinaryIO:
    try:
        file = path.open("rb")
    except FileNotFoundError as cause:
        raise CorruptFileError(f"recording was '{path}', which does not exist; give the path of a recorded session") from cause
    if file.read(len(MAGIC)) != MAGIC:
        file.close()
        raise CorruptFileError(f"'{path}' is no recording, or of another version; it does not begin with {MAGIC!r}")
    return file


def read_recording(path: Path) -> Iterator[Frame]:
    """Yield the frames of a recording after its header, one at a time; a broken tail is left out.

    Raises
    ------
    CorruptFileError : the file is no recording.
    """
    with _open(path) as file:
        for frame, _ in frames_from(file):
            if frame.kind != HEADER:
                yield frame


def read_header(path: Path) -> Mapping[str, Any]:
    """Return what a recording was made with.

    Raises
    ------
    CorruptFileError : the file is no recording, or broke off before its header was whole.
    """
    with _open(path) as file:
        for frame, _ in frames_from(file):
            if frame.kind == HEADER:
                return frame.header
            break
    raise CorruptFileError(f"'{path}' has no whole header; the session was killed before it began and can be deleted")


def digest_of(header: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a recording was made with (code, settings, catalog, opening), in canonical JSON."""
    return hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Recording:
    """A recording that is being written.

    Parameters
    ----------
    path : where; a file that is there is continued after its last whole record.
    header : what the session is run with (digests of code, settings, catalog, opening), kept in a new file.
    now_ns : time of the header (UTC ns).
    is_synced : `sync` waits for the disk, so that records survive the loss of power as well as of the process.

    Raises
    ------
    CorruptFileError : the file is there and is no recording.
    """

    def __init__(self, path: Path, header: Mapping[str, Any], now_ns: int, *, is_synced: bool = False) -> None:
        self.path = path
        self._is_synced = is_synced
        self._is_dirty = False
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records, self.cut_bytes = 0, 0
        end = self._whole_end()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        self.is_new = end == 0
        size = os.fstat(self._fd).st_size
        if end < size:
            self.cut_bytes = size - end
            os.ftruncate(self._fd, end)
        os.lseek(self._fd, end, os.SEEK_SET)
        self.bytes = end
        if self.is_new:
            self._write(MAGIC + encode_frame(Frame(HEADER, now_ns, header)))

    def _whole_end(self) -> int:
        """Return where the last whole record ends; 0 when there is no whole header."""
        path = self.path
        if not path.exists():
            return 0
        with path.open("rb") as file:
            begin = file.read(len(MAGIC))
        if not MAGIC.startswith(begin):
            raise CorruptFileError(f"'{path}' is no recording, or of another version; move it away to begin a new one")
        end = 0
        if begin == MAGIC:
            with path.open("rb") as file:
                for _, behind in frames_from(file):
                    end = behind
                    self.records += 1
        return end

    def append(self, frame: Frame) -> None:
        """Add a record; when this returns a killed process does not lose it."""
        self._write(encode_frame(frame))
        self.records += 1

    def sync(self) -> None:
        """Wait until everything is on the disk, if the recording is a synced one."""
        if self._is_synced and self._is_dirty:
            os.fsync(self._fd)
            self._is_dirty = False

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self._fd >= 0:
            self.sync()
            os.close(self._fd)
            self._fd = -1

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self.bytes += len(data)
        self._is_dirty = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
