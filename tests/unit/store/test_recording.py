"""Recordings: what is written is read back, and a file broken at any byte keeps every whole record before the break."""

import numpy as np
import pytest

from sovereign.core.errors import CorruptFileError, UsageError
from sovereign.store.recording import MAGIC, Frame, Recording, digest_of, encode_frame, read_header, read_recording


def frames():
    return [
        Frame("A", 1, {"x": 1, "y": "ü"}),
        Frame("B", -5, {}, {"ts": np.array([1, 2**62], np.int64), "side": np.array([-1, 1, 0], np.int8)}),
        Frame("C", 9, {"deep": {"list": [1.5, None]}}, {"price": np.empty(0, np.int32)}),
    ]


def plain(frame):
    return frame.kind, frame.ts, dict(frame.header), {n: (a.dtype.name, a.tolist()) for n, a in frame.arrays.items()}


def write(path, items, **terms):
    with Recording(path, {"code": "abc"}, 7, **terms) as recording:
        for item in items:
            recording.append(item)
            recording.sync()


@pytest.mark.parametrize("is_synced", [False, True])
def test_recording_when_read_back_then_equals_what_was_written(tmp_path, is_synced):
    path = tmp_path / "deep" / "a.rec"
    write(path, frames(), is_synced=is_synced)
    assert [plain(f) for f in read_recording(path)] == [plain(f) for f in frames()]
    assert read_header(path) == {"code": "abc"}


def test_recording_when_cut_at_any_byte_then_keeps_whole_records_and_can_be_continued(tmp_path):
    whole = tmp_path / "whole.rec"
    write(whole, frames())
    data = whole.read_bytes()
    header = len(MAGIC) + len(encode_frame(Frame("Header", 7, {"code": "abc"})))
    ends = [header]
    for frame in frames():
        ends.append(ends[-1] + len(encode_frame(frame)))
    assert ends[-1] == len(data)
    more = Frame("D", 11, {"z": 0})
    for cut in range(len(data) + 1):
        path = tmp_path / "cut.rec"
        path.write_bytes(data[:cut])
        with Recording(path, {"code": "abc"}, 7) as recording:
            assert recording.is_new == (cut < header)
            recording.append(more)
        kept = sum(end <= cut for end in ends[1:])
        assert [plain(f) for f in read_recording(path)] == [plain(f) for f in [*frames()[:kept], more]]
        assert read_header(path) == {"code": "abc"}


def test_recording_when_a_byte_is_damaged_then_reading_stops_before_it(tmp_path):
    path = tmp_path / "a.rec"
    write(path, frames())
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    # The last record has no columns' bytes: damage in its JSON is found by the checksum.
    assert [f.kind for f in read_recording(path)] == ["A", "B"]


def test_recording_when_the_file_is_something_else_then_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"dear diary")
    with pytest.raises(CorruptFileError, match="no recording"):
        Recording(path, {}, 0)
    with pytest.raises(CorruptFileError, match="no recording"):
        list(read_recording(path))
    with pytest.raises(CorruptFileError, match="does not exist"):
        read_header(tmp_path / "absent.rec")
    assert path.read_bytes() == b"dear diary"


def test_frame_when_a_column_is_of_another_type_then_says_what_is_kept():
    with pytest.raises(UsageError, match="complex128"):
        encode_frame(Frame("A", 0, {}, {"z": np.zeros(1, complex)}))


def test_digest_when_keys_are_in_another_order_then_is_the_same():
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})
