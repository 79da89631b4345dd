"""Segments: who belongs, since when, and who just entered or left."""
