"""What comes in by RPC: decode, call one use case, encode."""
