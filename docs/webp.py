"""An animated WebP of screenshots: the browser packs each change, this file puts them together.

The container: https://developers.google.com/speed/webp/docs/riff_container
"""

import base64
from collections.abc import Iterable
from typing import Any

#: Returns what changed since the last screenshot, as [x, y, width, height, WebP]; null if nothing.
CHANGE = """async (png) => {
    const read = await fetch(`data:image/png;base64,${png}`);
    const image = await createImageBitmap(await read.blob());
    const { width, height } = image;
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    const now = new Uint32Array(pen.getImageData(0, 0, width, height).data.buffer);
    let [left, top, right, bottom] = [width, height, -1, -1];
    for (let at = 0; at < now.length; at += 1) {
        if (window.before && window.before[at] === now[at]) continue;
        const [x, y] = [at % width, Math.floor(at / width)];
        [left, right] = [Math.min(left, x), Math.max(right, x)];
        [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
    window.before = now;
    if (right < 0) return null;
    // A part begins at even pixels.
    [left, top] = [left - (left % 2), top - (top % 2)];
    const part = new OffscreenCanvas(right - left + 1, bottom - top + 1);
    part.getContext("2d").drawImage(canvas, -left, -top);
    const packed = await part.convertToBlob({ type: "image/webp", quality: 1 });
    const bytes = new Uint8Array(await packed.arrayBuffer());
    const text = Array.from(bytes, (one) => String.fromCharCode(one)).join("");
    return [left, top, part.width, part.height, btoa(text)];
}"""
ANIMATED, AS_IT_IS = 0x02, 0x02
PICTURE = (b"ALPH", b"VP8 ", b"VP8L")


def animation(page: Any, shots: Iterable[tuple[bytes, int]]) -> bytes:
    """Return an animated WebP that goes on for ever.

    Parameters
    ----------
    page : playwright page
        An empty one.
    shots : iterable of (bytes, int)
        A PNG, and the milliseconds it is seen; all of one size.
    """
    frames: list[list[Any]] = []
    for png, milliseconds in shots:
        change = page.evaluate(CHANGE, base64.b64encode(png).decode())
        if change is None:
            frames[-1][-1] += milliseconds
        else:
            frames.append([*change, milliseconds])
    width, height = frames[0][2:4]
    size = _number(width - 1) + _number(height - 1)
    parts = [_chunk(b"VP8X", bytes([ANIMATED, 0, 0, 0]) + size), _chunk(b"ANIM", bytes(6))]
    parts += [_frame(*frame) for frame in frames]
    return _chunk(b"RIFF", b"WEBP" + b"".join(parts))


def _frame(x: int, y: int, width: int, height: int, packed: str, milliseconds: int) -> bytes:
    place = [x // 2, y // 2, width - 1, height - 1, milliseconds]
    head = b"".join(map(_number, place)) + bytes([AS_IT_IS])
    return _chunk(b"ANMF", head + _picture(base64.b64decode(packed)))


def _picture(file: bytes) -> bytes:
    """Return the parts of a WebP that are its picture, without header and colour profile."""
    found, at = b"", len(b"RIFF....WEBP")
    while at < len(file):
        end = at + 8 + int.from_bytes(file[at + 4 : at + 8], "little")
        end += end % 2
        if file[at : at + 4] in PICTURE:
            found += file[at:end]
        at = end
    return found


def _number(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2)
