"""Every table in one place, for migrations and for the test that walks them all."""

from huntaze_pipeline.store import automations, inflow, outflow, people, planning, segments, timing
from huntaze_pipeline.store.base import Base

MODULES = (people, inflow, planning, segments, automations, outflow, timing)
metadata = Base.metadata
