"""Which items a page shows, and whether another follows."""

from appliance.web.paging import one_page


def test_one_item_more_than_a_page_shows_means_that_another_page_follows() -> None:
    assert one_page([1, 2, 3], 2) == ([1, 2], 2)


def test_a_page_that_is_just_full_is_the_last() -> None:
    assert one_page([1, 2], 2) == ([1, 2], None)


def test_nothing_found_is_an_empty_last_page() -> None:
    assert one_page([], 2) == ([], None)
