"""Every table in one place, for migrations and for the test that walks them all."""

from huntaze_pipeline.store import inflow, outflow, people, planning, timing
from huntaze_pipeline.store.base import Base

MODULES = (people, inflow, planning, outflow, timing)
metadata = Base.metadata
