"""Dagster assets, one file a station of the loop. Thin: read, call a plain function, write."""
