"""What Dagster needs around the plain functions: resources, asset factories, checks, retention."""
