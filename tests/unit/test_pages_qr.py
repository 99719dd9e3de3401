"""The picture that an authenticator app reads: its squares are those of the code, on white, with their margin."""

import re

import segno

from appliance.web.qr import QUIET_ZONE, qr_svg

URI = (
    "otpauth://totp/MCP%20Host%3Aada%40example.org"
    "?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=MCP%20Host"
)
_SIZE = re.compile(r'viewBox="0 0 (\d+) (\d+)"')
_DARK = re.compile(r'<path stroke="#000" d="([^"]+)"')
_STEP = re.compile(r"([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?")


def squares(svg: str) -> list[list[bool]]:
    """Return what is dark, row by row, by walking the lines as a browser does."""
    size, path = _SIZE.search(svg), _DARK.search(svg)
    assert size
    assert path
    found = [[False] * int(size[1]) for _ in range(int(size[2]))]
    x = y = 0.0
    for verb, first, second in _STEP.findall(path[1]):
        if verb == "h":
            for at in range(int(x), int(x + float(first))):
                found[int(y)][at] = True
            x += float(first)
        else:
            is_whole = verb == "M"
            x, y = (
                float(first) + (0 if is_whole else x),
                float(second) + (0 if is_whole else y),
            )
    return found


def test_the_squares_are_those_of_the_address() -> None:
    code = segno.make(URI, error="m", micro=False)

    expected = [[bool(dark) for dark in row] for row in code.matrix_iter(border=4)]

    assert squares(qr_svg(URI, "x")) == expected
    assert squares(qr_svg(f"{URI}0", "x")) != expected


def test_it_is_dark_on_white_with_a_margin_and_no_style() -> None:
    svg = qr_svg(URI, '<b>"')
    drawn = squares(svg)

    assert QUIET_ZONE == 4
    assert f'<path fill="#fff" d="M0 0h{len(drawn)}v{len(drawn)}h-{len(drawn)}z"/>' in svg  # fmt: skip
    margins = [*drawn[:4], *drawn[-4:], *(row[:4] + row[-4:] for row in drawn)]
    assert not any(any(row) for row in margins)
    assert "style" not in svg
    assert "<title>&lt;b&gt;" in svg
