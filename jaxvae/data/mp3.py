"""MP3 files that do not say how long they are.

Decoders take the length of such a file from the bit rate of its first frame, which cuts one of varying bit rate where
that happens to be high. Its frames tell the length: they are counted, and the decoder is given a frame in front that
says it, as encoders write one ("Xing", http://gabriel.mp3-tech.org/mp3infotag.html).
"""

import io
from pathlib import Path
from typing import BinaryIO, NamedTuple

_KBIT = {  # by the number in a header; 0 would be free, 15 is forbidden
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {0b11: (44_100, 48_000, 32_000), 0b10: (22_050, 24_000, 16_000), 0b00: (11_025, 12_000, 8_000)}
_TAGS = (b"Xing", b"Info", b"VBRI")
_SEARCHED_BYTES = 2**16  # behind the tags, for the first frame


class Frame(NamedTuple):
    """What the header of a frame of layer III says."""

    kind: int
    """MPEG 1, or 2 for the lower rates."""
    version: int
    rate: int
    mono: bool
    bytes: int


def frame(header: bytes) -> Frame | None:
    """The frame that begins with these four bytes; None where none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0b11100110 != 0b11100010:
        return None
    version, number, rate = header[1] >> 3 & 0b11, header[2] >> 4, header[2] >> 2 & 0b11
    if version not in _RATES or number in (0, 15) or rate == 3:
        return None
    kind = 1 if version == 0b11 else 2
    hz = _RATES[version][rate]
    size = (144 if kind == 1 else 72) * 1_000 * _KBIT[kind][number] // hz + (header[2] >> 1 & 1)
    return Frame(kind, version, hz, header[3] >> 6 == 0b11, size)


def with_length(path: Path) -> io.BytesIO | None:
    """The file with a frame in front that says its length; None where it says so itself, or is no MP3 file."""
    with open(path, "rb") as file:
        _skip_tags(file)
        begun = file.tell()
        beginning = file.read(_SEARCHED_BYTES)
        place = _first(beginning)
        if place is None or any(tag in beginning[place : place + 200] for tag in _TAGS):
            return None
        file.seek(begun + place)
        content = file.read()  # compressed: an hour takes 60 MB
    count, end = 0, 0
    while (found := frame(content[end : end + 4])) is not None:
        count += 1
        end += found.bytes
    first = frame(content[:4])
    header = bytearray(content[:4])
    header[1] |= 1  # without a checksum
    header[2] = header[2] & 0b1101 | 0b1001 << 4
    size = frame(bytes(header)).bytes
    side = (17 if first.mono else 32) if first.kind == 1 else (9 if first.mono else 17)
    tag = b"Xing" + (3).to_bytes(4, "big") + count.to_bytes(4, "big") + (size + len(content)).to_bytes(4, "big")
    return io.BytesIO((bytes(header) + bytes(side) + tag).ljust(size, b"\0") + content)


def _skip_tags(file: BinaryIO) -> None:
    """To behind the ID3 tags, which may hold pictures."""
    begun = file.tell()
    while len(tag := file.read(10)) == 10 and tag.startswith(b"ID3"):
        file.seek(sum((byte & 0x7F) << 7 * (3 - number) for number, byte in enumerate(tag[6:])), io.SEEK_CUR)
        begun = file.tell()
    file.seek(begun)


def _first(beginning: bytes) -> int | None:
    """Where the first frame begins, of those that another of the kind follows."""
    for start in range(len(beginning) - 4):
        if beginning[start] != 0xFF or (found := frame(beginning[start : start + 4])) is None:
            continue
        following = frame(beginning[start + found.bytes : start + found.bytes + 4])
        if following and (following.rate, following.version) == (found.rate, found.version):
            return start
    return None
