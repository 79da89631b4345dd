"""What happened and why: attribution, conversions, ROI, experiment statistics. Pure functions."""
