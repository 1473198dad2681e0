"""The animated picture of the README: its container byte by byte, and the picture that is there."""

import base64
from pathlib import Path

from webp import animation

ROOT = Path(__file__).parents[1]
#: A WebP with a colour profile and a picture of three bytes, filled up to four.
PROFILE = b"ICCP\x02\0\0\0ab"
PICTURE = b"VP8L\x03\0\0\0xyz\0"
FILE = b"RIFF\x1e\0\0\0WEBP" + PROFILE + PICTURE


class Page:
    """Stands in for the browser: the first shot is all new, the second as it was, then a part."""

    def __init__(self):
        packed = base64.b64encode(FILE).decode()
        self.changes = iter([[0, 0, 400, 300, packed], None, [10, 20, 30, 40, packed]])

    def evaluate(self, _code, _png):
        return next(self.changes)


def test_frames_are_put_together():
    made = animation(Page(), [(b"1", 100), (b"2", 150), (b"3", 4000)])
    head, rest = made[:12], made[12:]
    assert head == b"RIFF" + len(made[8:]).to_bytes(4, "little") + b"WEBP"
    # 399 and 299, the size less one, in three bytes each; no colour, for ever.
    assert rest.startswith(b"VP8X\x0a\0\0\0\x02\0\0\0\x8f\x01\0\x2b\x01\0ANIM\x06\0\0\0" + bytes(6))
    frames = rest.split(b"ANMF")[1:]
    size = (16 + len(PICTURE)).to_bytes(4, "little")
    # Place in units of two pixels, size less one, milliseconds: 250 of the first two shots.
    first = bytes(6) + b"\x8f\x01\0\x2b\x01\0" + b"\xfa\0\0" + b"\x02" + PICTURE
    part = b"\x05\0\0\x0a\0\0" + b"\x1d\0\0\x27\0\0" + b"\xa0\x0f\0" + b"\x02" + PICTURE
    assert frames == [size + first, size + part]


def test_the_picture_is_there_and_small():
    path = ROOT / "docs" / "story.webp"
    assert path.stat().st_size < 600_000
    assert path.read_bytes().count(b"ANMF") > 20
    assert "](docs/story.webp)" in (ROOT / "README.md").read_text("utf-8")
