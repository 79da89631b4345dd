"""Pages, charts and files for people: what is measured, as one would show it to a client."""
