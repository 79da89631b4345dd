"""Which platforms' circuit breakers are open, as the senders share it through Redis."""

from huntaze_pipeline.delivery.breaker import Breaker
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.people import PLATFORMS

TIMEOUT_S = 2.0


def states(settings: Settings) -> dict[str, bool]:
    """Return for each platform whether its circuit is open; nothing when Redis cannot be asked."""
    import redis

    if settings.redis_url is None:
        return {}
    try:
        with redis.Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        ) as client:
            breaker = Breaker(client, "monitoring")
            return {platform: breaker.state(platform) == "open" for platform in PLATFORMS}
    except redis.RedisError:
        return {}
