"""What happened and why: attribution, conversions, ROI and experiment statistics. Pure functions."""
