"""Where a request may go: nowhere inside, however it is disguised."""

import asyncio
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huntaze_pipeline.webhooks import address

INSIDE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",
    "100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1",
    "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("text", INSIDE)
def test_no_address_of_our_own_is_public(text):
    assert not address.public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are(text):
    assert address.public(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4))
def test_a_disguise_changes_nothing(plain):
    for disguised in (f"::ffff:{plain}", f"64:ff9b::{plain}"):
        assert address.public(ipaddress.ip_address(disguised)) == address.public(plain)


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1", "[::1]"])
def test_a_name_or_a_number_that_leads_inside_is_refused(host):
    with pytest.raises(address.Refused):
        asyncio.run(address.resolve(host.strip("[]"), 443))


def test_one_inner_address_among_several_is_enough(monkeypatch):
    async def both(self, host, port, **_):
        return [(2, 1, 6, "", ("8.8.8.8", port)), (2, 1, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", both)
    with pytest.raises(address.Refused, match=r"10\.0\.0\.1"):
        asyncio.run(address.resolve("mixed.example", 443))


@pytest.mark.parametrize(
    "url",
    ["http://example.com", "https://u:p@example.com/", "file:///etc/passwd", "https://[", "x"],
)
def test_only_plain_https_is_called(url):
    with pytest.raises(address.Refused):
        address.target(url)
