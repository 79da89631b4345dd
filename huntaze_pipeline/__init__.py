"""Huntaze: events to segments, campaigns and rate-limited sends, for creators and agencies."""
