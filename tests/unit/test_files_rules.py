"""Paths, ranges and checksums of files, as they come from outside."""

import base64
import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.files import paths
from appliance.files.digests import ChecksumError, expected, header_value, is_wanted
from appliance.files.paths import FilePathError
from appliance.files.ranges import Part, RangeError, is_unchanged, part_of
from appliance.web.downloads import disposition

NAME = st.binary(min_size=1, max_size=40).filter(
    lambda raw: raw not in {b".", b".."} and not set(raw) & {0, ord("/")}
)
DIGEST = hashlib.sha256(b"hello").hexdigest()
BASE64 = base64.b64encode(bytes.fromhex(DIGEST)).decode()


@given(st.lists(NAME, min_size=1, max_size=8))
def test_an_address_names_any_file_that_can_be(names: list[bytes]) -> None:
    path = tuple(map(os.fsdecode, names))

    assert paths.from_address(paths.address(path)) == path
    assert paths.shown(path).isprintable()
    assert paths.address(path).isascii()


@given(st.text(max_size=60))
def test_a_path_that_is_taken_leads_down_alone(text: str) -> None:
    try:
        found = paths.from_text(text)
    except FilePathError:
        return
    raw = [os.fsencode(name) for name in found]
    assert not {b"", b".", b".."} & set(raw)
    assert not any(b"/" in name or b"\0" in name for name in raw)
    assert text.removesuffix("/") == "/".join(found)


@pytest.mark.parametrize(
    "text",
    ["/", "/etc/passwd", "..", "a/../b", "a//b", "./a", "a/.", "a\0b", "x" * 256, "/".join("a" * 101), "\ud800"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(FilePathError):
        paths.from_text(text)


def test_data_itself_is_the_empty_path_and_a_slash_at_the_end_says_nothing() -> None:
    assert paths.from_text("") == ()
    assert paths.from_text("a/b/") == ("a", "b")


@pytest.mark.parametrize("path", [(), ("a\nb",), ("\udcff",), ("\u202e",)])
def test_what_is_made_has_a_readable_name(path: tuple[str, ...]) -> None:
    with pytest.raises(FilePathError):
        paths.check_new(path)


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("", Part(0, 100, is_whole=True)),
        ("bytes=0-", Part(0, 100, is_whole=False)),
        ("bytes=10-19", Part(10, 10, is_whole=False)),
        ("Bytes = 10-1000", Part(10, 90, is_whole=False)),
        ("bytes=-5", Part(95, 5, is_whole=False)),
        ("bytes=-500", Part(0, 100, is_whole=False)),
        ("bytes=0-1,5-6", Part(0, 100, is_whole=True)),
        ("bytes=5-4", Part(0, 100, is_whole=True)),
        ("bytes=-", Part(0, 100, is_whole=True)),
        ("lines=1-2", Part(0, 100, is_whole=True)),
        ("bytes=" + "9" * 500 + "-", Part(0, 100, is_whole=True)),
    ],
)
def test_a_range_is_read_as_the_rfc_says(header: str, part: Part) -> None:
    assert part_of(header, "", size_bytes=100, etag='"e"') == part


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=-0"])
def test_a_range_behind_the_end_is_refused(header: str) -> None:
    with pytest.raises(RangeError):
        part_of(header, "", size_bytes=100, etag='"e"')


@pytest.mark.parametrize(
    ("if_range", "is_whole"),
    [('"e"', False), ('W/"e"', True), ('"f"', True), ("Sat, 21 Nov 2026 14:00:00 GMT", True)],
)  # fmt: skip
def test_a_part_is_of_the_file_that_was_begun(if_range: str, is_whole: bool) -> None:  # noqa: FBT001 - a case
    part = part_of("bytes=1-2", if_range, size_bytes=100, etag='"e"')

    assert part.is_whole is is_whole


@given(st.text(alphabet="0123456789-,=bytes \t", max_size=80), st.integers(0, 500))
def test_whatever_the_range_no_more_is_sent_than_there_is(
    header: str, size: int
) -> None:
    try:
        part = part_of(f"bytes={header}", "", size_bytes=size, etag='"e"')
    except RangeError:
        return
    assert 0 <= part.offset <= part.offset + part.length <= size


def test_a_file_that_is_known_is_not_sent_again() -> None:
    assert is_unchanged('"a", W/"e"', '"e"')
    assert is_unchanged("*", '"e"')
    assert not is_unchanged("", '"e"')
    assert not is_unchanged('"f"', '"e"')


@pytest.mark.parametrize(
    ("headers", "given"),
    [
        ({}, DIGEST.upper()),
        ({}, f"sha256:{DIGEST}"),
        ({"Repr-Digest": f"sha-256=:{BASE64}:"}, ""),
        ({"Repr-Digest": f"sha-512=:AAAA:, sha-256=:{BASE64}:"}, ""),
        ({"Content-Digest": f"sha-256=:{BASE64}:"}, ""),
        ({"Digest": f"SHA-256={BASE64}"}, ""),
    ],
)
def test_a_checksum_is_read_wherever_it_stands(
    headers: dict[str, str], given: str
) -> None:
    assert expected(headers, given) == DIGEST


@pytest.mark.parametrize(
    ("headers", "given"),
    [({}, "abc"), ({"Repr-Digest": "sha-256=:AAAA:"}, ""), ({"Digest": "sha-256===="}, "")],
)  # fmt: skip
def test_a_checksum_that_is_none_is_refused(
    headers: dict[str, str], given: str
) -> None:
    with pytest.raises(ChecksumError):
        expected(headers, given)


def test_nobody_needs_to_know_a_checksum() -> None:
    assert expected({"Repr-Digest": "sha-512=:AAAA:"}, "") == ""
    assert header_value(DIGEST) == f"sha-256=:{BASE64}:"
    assert is_wanted("sha-512=1, sha-256=10")
    assert not is_wanted("sha-256=0")


@given(NAME)
def test_a_name_breaks_no_header(raw: bytes) -> None:
    value = disposition(os.fsdecode(raw))

    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2
