"""Files that are cut short, told by their bytes and their last frames alone.

| container | a cut is noticed |
|---|---|
| AVI | if the file is shorter than its first chunk announces, or fewer frames decode than announced and not skipped |
| MP4 | always: without its index it does not open, and with it fewer frames decode than announced |
| Matroska, WebM | if a frame is missing at the end, where the rate is constant; otherwise as in FLV |
| FLV | if more than a tenth of the announced duration is missing |
| MPEG program stream (`.mpg`) | at the beginning; at the end within a packet or a frame, not between two frames |
| MPEG transport stream (`.ts`) | within a packet (187 of 188 cuts at random bytes), not between two packets |

Frames that are missing within a file are noticed in AVI and MP4 alone: the others announce no number of frames.

This module has the first and the last two rows. The others, for which all frames must have been decoded, are in
`jaxvid.video.clips` (MP4) and in `missing_end` of `jaxvid.video.streams`.
"""

import io
import struct
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from jaxvid.video.opening import begins_as_container, open_container
from jaxvid.video.workers import InvalidVideoError

_START_CODE, _PACK, _PROGRAM_END = b"\0\0\1", b"\0\0\1\xba", 0xB9
_TRANSPORT_PACKET = 188
# An entry of an AVI's index: name of the chunk, flags, position, size.
_INDEX = struct.Struct("<4sIII")

# Bytes at the end of a program stream whose packets are followed, and those that are decoded.
_FOLLOWED_BYTES = 256 << 10
_DECODED_BYTES = 4 << 20


def check_whole(path: Path) -> None:
    """Checks what a file tells of its own end, without decoding it all.

    Raises:
      InvalidVideoError: if the file cannot be read, is empty, or is cut short (see the docstring of this module).
    """
    try:
        size = path.stat().st_size
        if not path.is_file() and not path.is_dir():
            raise InvalidVideoError(path, "it is not a regular file")
        if not size and path.is_file():
            raise InvalidVideoError(path, "the file is empty")
        reason = missing_bytes(path) or broken_end(path)
    except OSError as error:
        raise InvalidVideoError(path, f"it cannot be read: {error.strerror}") from error
    if reason:
        raise InvalidVideoError(path, reason)


def missing_bytes(path: Path) -> str | None:
    """Returns what shows that a file lacks bytes at its end, or at its beginning; None if nothing does.

    Raises:
      OSError: if the file cannot be read.
    """
    head, num_bytes = _read_part(path, 0, _TRANSPORT_PACKET + 1), path.stat().st_size
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        # 0 stands for unknown.
        announced = 8 + struct.unpack("<I", head[4:8])[0]
        return f"it is cut short: {num_bytes} of {announced} bytes" if announced > num_bytes else None
    if head.startswith(_PACK):
        return _missing_packet_bytes(_read_part(path, num_bytes - _FOLLOWED_BYTES))
    if not begins_as_container(head) and _PACK in _read_part(path, 0, _FOLLOWED_BYTES):
        return "its beginning is missing"
    if head[:1] == head[_TRANSPORT_PACKET:] == b"\x47" and (surplus := num_bytes % _TRANSPORT_PACKET):
        return f"it is cut short: its last packet has {surplus} of {_TRANSPORT_PACKET} bytes"
    return None


def broken_end(path: Path) -> str | None:
    """Returns what shows that the last frame of an MPEG program stream is incomplete; None if nothing does.

    Program streams announce neither frames nor bytes, and their decoder conceals what is missing.

    Raises:
      OSError: if the file cannot be read.
    """
    if _read_part(path, 0, len(_PACK)) != _PACK:
        return None
    tail = _read_part(path, path.stat().st_size - _DECODED_BYTES)
    try:
        with av.open(io.BytesIO(tail), "r", format="mpeg") as container:
            is_whole = _last_frame_decodes(container)
    except (av.error.FFmpegError, IndexError):
        # No video stream in the tail, or of another format: decoding the file gives the reason.
        return None
    return None if is_whole else "it is cut short: its last frame is incomplete"


def skipped_avi_frames(path: Path) -> int:
    """Returns the number of frames that an AVI announces and skips: places that hold nothing.

    Its index lists them; without one, they are the places between the frames that it holds.

    Raises:
      InvalidVideoError: if it cannot be opened.
      OSError: if it cannot be read.
    """
    empty = _empty_avi_chunks(path)
    if empty is not None:
        return empty
    with open_container(path) as container:
        if container.format.name != "avi" or not container.streams.video:
            return 0
        places = [packet.dts for packet in container.demux(video=0) if packet.size and packet.dts is not None]
    return max(places, default=-1) + 1 - len(places)


def _empty_avi_chunks(path: Path) -> int | None:
    """Returns the number of empty chunks of video in the index of an AVI; None if it has none behind its data."""
    with path.open("rb") as file:
        position, end = 12, path.stat().st_size
        while position + 8 <= end:
            file.seek(position)
            name, size = struct.unpack("<4sI", file.read(8))
            if name == b"idx1":
                entries = file.read(min(size, end - position - 8) // 16 * 16)
                return sum(
                    chunk[2:] in (b"dc", b"db") and not size for chunk, _, _, size in _INDEX.iter_unpack(entries)
                )
            position += 8 + size + size % 2
    return None


def _last_frame_decodes(container: InputContainer) -> bool:
    # Frames that refer to one before the tail are damaged too: the last frame tells only after an intact one.
    failed = corrupt = any_intact = False
    for packet in container.demux(video=0):
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            failed = True
            continue
        # The last packet is empty and fetches the frames that the decoder holds back.
        failed = failed and not packet.size
        for frame in frames:
            corrupt = frame.is_corrupt
            any_intact |= not corrupt
    return not (any_intact and (failed or corrupt))


def _read_part(path: Path, begin: int, length: int = -1) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, begin))
        return file.read(length)


def _missing_packet_bytes(tail: bytes) -> str | None:
    """Follows the packets of the end of a program stream from its first pack on."""
    position = tail.find(_PACK)
    while 0 <= position < len(tail):
        end = position + _packet_length(tail[position : position + 14])
        if end > len(tail):
            return f"it is cut short: its last packet has {len(tail) - position} of {end - position} bytes"
        position = end if tail.startswith(_START_CODE, end) else tail.find(_PACK, end)
    return None


def _packet_length(header: bytes) -> int:
    """Returns the length of the packet that begins with `header` (ISO 13818-1, 2.5.3), or of what is missing of that.

    The header of a pack is 12 bytes long in MPEG-1; in MPEG-2, where it begins with the bits 01, 14 and some stuffing.
    """
    if header.startswith(_PACK):
        if header[4:5] and header[4] >> 6 == 1:
            return 14 + (header[13] & 7 if len(header) == 14 else 0)
        return 12
    if header[3:4] and header[3] == _PROGRAM_END:
        return 4
    return 6 + struct.unpack(">H", header[4:6])[0] if len(header) >= 6 else 6
