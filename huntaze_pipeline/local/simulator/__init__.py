"""Four platforms in one process of its own: they count, ban, fail and answer with receipts."""
