"""Dagster sensors and schedules, one file a trigger: they decide in the tick."""
