"""Signatures of outgoing requests, as standardwebhooks.com has them; its libraries check them.

Each creator has a secret of its own, derived from HUNTAZE_WEBHOOK_SECRET, so whoever can check one
creator's requests cannot forge another's.
"""

import base64
import hashlib
import hmac
from datetime import datetime


def secret(master: bytes, creator_id: str) -> str:
    """Return a creator's secret as receivers are given it: whsec_ and base64."""
    key = hmac.digest(master, b"outgoing webhooks\x1f" + creator_id.encode(), hashlib.sha256)
    return "whsec_" + base64.b64encode(key).decode()


def headers(shared: str, name: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers that prove a request.

    Args:
        shared: the creator's secret, as `secret` gives it.
        name: the request's id; the same in each retry, so that a receiver can know it again.
        at: when it is sent; receivers refuse what is minutes old.
        body: the exact bytes.
    """
    moment = str(int(at.timestamp()))
    key = base64.b64decode(shared.removeprefix("whsec_"))
    signed = b".".join((name.encode(), moment.encode(), body))
    mac = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {"webhook-id": name, "webhook-timestamp": moment, "webhook-signature": f"v1,{mac}"}
