"""Spellings of one address are one; addresses of different people stay two."""

import pytest

from huntaze_pipeline.campaigns.likeness import key


@pytest.mark.parametrize(
    ("platform", "one", "other"),
    [
        ("email", "Ada@X.org", " ada@x.org"),
        ("email", "ada+shop@x.org", "ada@x.org"),
        ("email", "a.d.a@gmail.com", "ada+new@googlemail.com"),
        ("email", "ａda@x.org", "ada@x.org"),
        ("onlyfans", "@Ada", "ada"),
    ],
)
def test_spellings_of_one_address_are_the_same(platform, one, other):
    assert key(platform, one) == key(platform, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("email", "a.da@x.org"), ("email", "ada@x.org")),
        (("email", "+1@x.org"), ("email", "+2@x.org")),
        (("onlyfans", "ada+1"), ("onlyfans", "ada")),
        (("onlyfans", "ada"), ("tiktok", "ada")),
    ],
)
def test_what_may_be_two_people_stays_two(one, other):
    assert key(*one) != key(*other)
