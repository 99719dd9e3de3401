"""QR codes for pages: dark on white whatever the page's colours are, with the margin that cameras need."""

from markupsafe import Markup

#: Modules around the code (ISO 18004).
QUIET_ZONE = 4


def qr_svg(text: str, title: str) -> Markup:
    """Return ``text`` as an inline picture. It takes some milliseconds, and the first time reads the library.

    Args:
        title: What those hear who do not see it.
    """
    import segno  # noqa: PLC0415 - most hubs show none for weeks

    drawn = segno.make(text, error="m", micro=False).svg_inline(
        border=QUIET_ZONE,
        dark="#000",
        light="#fff",
        omitsize=True,
        svgclass="qr",
        lineclass=None,
        title=title,
    )
    # The attributes are the library's; text becomes black squares, and the title is escaped by it.
    return Markup(drawn.replace("<svg ", '<svg role="img" ', 1))  # noqa: S704 - as said
