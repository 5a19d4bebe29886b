"""Timers, the scanner, relays, sweepers."""
