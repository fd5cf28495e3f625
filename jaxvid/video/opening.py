"""Opening of video files that anybody may have made: nothing but the file itself is read, within bounds of memory."""

import re
from pathlib import Path

import av
import av.error
from av.container import InputContainer

from jaxvid.video.workers import InvalidVideoError

# Of whole videos, the default first. Their frames differ by the version of FFmpeg's scaler alone.
DECODERS = ("decord", "av")

# FFmpeg's names of the containers that are opened: single files. It finds the format by the content, whatever the name
# of the file, and other formats make it open what they name: playlists (HLS, DASH, concat), descriptions of streams
# (SDP), subtitles with a file of pictures beside them (VobSub). Nor are streams without a container: FFmpeg finds
# one in an AVI that has lost its beginning.
_FORMATS = "apng,asf,avi,dv,flv,gif,ivf,matroska,mov,mpeg,mpegts,mpegvideo,mxf,nut,ogg,yuv4mpegpipe"

# What streams come over: networks alone, whatever a playlist names.
_STREAM_PROTOCOLS = "crypto,data,http,httpproxy,https,rtmp,rtmps,rtmpt,rtmpts,rtp,srt,srtp,tcp,tls,udp"

# How long to wait for a stream to open, and for its next packet. Of one that falls silent FFmpeg gives the last frame
# after that time, and the end after twice as long.
STREAM_SECONDS = 15.0

# Larger frames are not decoded; 8K has half as many pixels.
MAX_PIXELS = 8192 * 8192

# First bytes of the containers of which decord and OpenCV, which take no list of formats, can find no other format:
# those that name files are texts that begin with a word of their own.
_BINARY_HEADS = re.compile(
    rb"RIFF....AVI |....(?:ftyp|moov|mdat|wide|free|skip)|\x1aE\xdf\xa3|FLV\x01|OggS|"
    rb"\x00\x00\x01[\xb3\xba]|\x30\x26\xb2\x75|G.{187}G",
    re.DOTALL,
)
_HEAD_BYTES = 189


def open_container(path: Path | str) -> InputContainer:
    """Opens a video file with PyAV.

    Raises:
      InvalidVideoError: if it is no regular file, of a format that is no container of video (or one that names other
        files), or broken.
    """
    # An absolute path is never mistaken for a protocol such as "concat:".
    path = Path(path)
    if path.exists() and not path.is_file():
        raise InvalidVideoError(path, "it cannot be opened: it is not a regular file")
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        # The names of songs and the like may be in any encoding.
        container = av.open(str(path.absolute()), options=options, metadata_errors="replace")
    except av.error.ArgumentError as error:
        # Of a format beside those allowed.
        raise InvalidVideoError(path, "it cannot be opened: it is no container of video, or names others") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InvalidVideoError(path, f"it cannot be opened: {error_reason(error)}") from error
    for stream in container.streams.video:
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return container


def open_stream(address: str) -> InputContainer:
    """Opens a stream at an address, such as a camera's; RTSP over TCP, if the camera allows that.

    Raises:
      av.error.FFmpegError: if there is none; while reading too, if nothing comes for `STREAM_SECONDS`.
    """
    options = {
        "protocol_whitelist": _STREAM_PROTOCOLS,
        "max_pixels": str(MAX_PIXELS),
        "rtsp_flags": "prefer_tcp",
    }
    container = av.open(address, options=options, metadata_errors="replace", timeout=STREAM_SECONDS)
    for stream in container.streams.video:
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return container


def names_no_other_file(path: Path) -> bool:
    """Returns whether any version of FFmpeg takes a file for a container that names no other files.

    Raises:
      OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        return begins_as_container(file.read(_HEAD_BYTES))


def begins_as_container(head: bytes) -> bool:
    """Returns whether a file that begins so is a container that names no other files."""
    return bool(_BINARY_HEADS.match(head))


def error_reason(error: BaseException) -> str:
    """Returns what an error says, in one line."""
    lines = str(error).splitlines()
    return getattr(error, "strerror", None) or (lines[0] if lines else type(error).__name__)
