"""Which platforms' circuit breakers are open, as the senders share it: Redis or the books."""

import redis

from huntaze_pipeline.delivery import epoch
from huntaze_pipeline.delivery.breaker import Breaker
from huntaze_pipeline.delivery.circuit import BooksBreaker
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.people import PLATFORMS
from huntaze_pipeline.store.session import Store

TIMEOUT_S = 2.0
_ME = "monitoring"


def states(settings: Settings, store: Store) -> dict[str, bool]:
    """Return for each platform whether its circuit is open; nothing when nobody can be asked."""
    if epoch.away(store):
        return _open(BooksBreaker(store, _ME))
    if settings.redis_url is None:
        return {}
    try:
        with redis.Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        ) as client:
            return _open(Breaker(client, _ME))
    except redis.RedisError:
        return {}


def _open(breaker: Breaker | BooksBreaker) -> dict[str, bool]:
    return {platform: breaker.state(platform) == "open" for platform in PLATFORMS}
