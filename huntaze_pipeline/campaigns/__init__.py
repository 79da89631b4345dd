"""Campaigns, templates, schedules and the assignment of variants. Delivery takes over from there."""
