"""Trying rules before they are live: in a world of their own, against what is live, on the past."""
