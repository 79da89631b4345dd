"""Chaos: real servers, senders that are killed at every point, and a judge that only counts."""
