"""When two spellings are one inbox: what a campaign compares addresses by, so nobody gets it twice.

Stricter than how addresses are stored (trimmed, lower case): only for leaving a second message out,
never for writing to an address or for consent.
"""

import unicodedata

_DOTLESS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
"""Where dots in a name mean nothing."""


def key(platform: str, address: str) -> tuple[str, str]:
    """Return what is the same for all spellings of one address.

    E-mail: what follows a plus is a label, and Google's dots mean nothing. Handles: a leading @ is
    how people write them.
    """
    plain = unicodedata.normalize("NFKC", address).strip().casefold()
    if platform != "email":
        return platform, plain.removeprefix("@")
    name, at, domain = plain.rpartition("@")
    if not at:
        return platform, plain
    name = name.partition("+")[0] or name
    if domain in _DOTLESS:
        name, domain = name.replace(".", ""), _DOTLESS[domain]
    return platform, f"{name}@{domain}"
