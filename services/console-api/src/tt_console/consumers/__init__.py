"""What comes in by event."""
