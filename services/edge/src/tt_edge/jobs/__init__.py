"""Timers of the edge that run beside the calls."""
