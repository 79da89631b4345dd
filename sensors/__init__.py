"""Dagster sensors and schedules, one file a trigger.

A sensor's work is done by a thread that goes on between its ticks (`orchestration.shift`); a tick
begins it, keeps it going and reports what it did. Only `alerts` works inside its tick. No sensor
launches a run.
"""
