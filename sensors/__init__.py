"""Dagster sensors and schedules, one file a trigger. They decide in the tick; runs are for tables."""
