"""How large a compressed chunk becomes, told from its bytes before it is decompressed."""

import struct
import zlib
from collections.abc import Callable

#: Most that deflate can shrink anything.
DEFLATE = 1032
#: Most that a block of zstandard becomes.
ZSTD_BLOCK = 128 * 1024
_STEP = 2**20


def inflated(codec: str, data: bytes | memoryview, limit: int) -> int | None:
    """Return how many bytes a chunk becomes, exactly or at most.

    None if that cannot be told; then it is damaged, and its codec will say so. What grows beyond
    `limit` is not followed to its end.
    """
    try:
        return _SIZES[codec](bytes(data), limit)
    except (struct.error, IndexError, zlib.error):
        return None


def _blosc(data: bytes, limit: int) -> int:
    return struct.unpack_from("<I", data, 4)[0]


def _lz4(data: bytes, limit: int) -> int:
    return struct.unpack_from("<I", data)[0]


def _deflate(data: bytes, limit: int) -> int:
    if len(data) * DEFLATE <= limit:
        return len(data) * DEFLATE
    total = 0
    while data and total <= limit:
        # 32 more than the window: zlib or gzip, whichever it is.
        stream = zlib.decompressobj(zlib.MAX_WBITS + 32)
        rest = data
        while rest and not stream.eof and total <= limit:
            total += len(stream.decompress(rest, _STEP))
            rest = stream.unconsumed_tail
        data = stream.unused_data
    return total


def _zstd(data: bytes, limit: int) -> int:
    """Add up the frames; one that does not say its size is at most its number of blocks."""
    total, at = 0, 0
    while at + 4 <= len(data) and total <= limit:
        magic = struct.unpack_from("<I", data, at)[0]
        if magic & 0xFFFFFFF0 == 0x184D2A50:
            at += 8 + struct.unpack_from("<I", data, at + 4)[0]
            continue
        flags = data[at + 4]
        single, checksum = flags >> 5 & 1, flags >> 2 & 1
        at += 5 + (not single) + (0, 1, 2, 4)[flags & 3]
        width = (single, 2, 4, 8)[flags >> 6]
        said = int.from_bytes(data[at : at + width], "little") + 256 * (width == 2)
        at += width
        last, n_blocks = False, 0
        while not last:
            header = int.from_bytes(data[at : at + 3], "little")
            if at + 3 > len(data):
                raise IndexError
            last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
            at += 3 + (1 if kind == 1 else size)
            n_blocks += 1
        at += 4 * checksum
        total += said if width else n_blocks * ZSTD_BLOCK
    return total


_SIZES: dict[str, Callable[[bytes, int], int]] = {
    "blosc": _blosc,
    "lz4": _lz4,
    "zlib": _deflate,
    "gzip": _deflate,
    "zstd": _zstd,
}
