"""From a decided message to a platform's answer: outbox, relay, queue, limiter, sender."""
