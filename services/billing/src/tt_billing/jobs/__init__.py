"""Timers, relays and sweepers."""
