"""What comes in by HTTP: decode, call one use case, encode."""
