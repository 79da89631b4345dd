"""One module a platform, all behind the same small protocol (see base)."""
