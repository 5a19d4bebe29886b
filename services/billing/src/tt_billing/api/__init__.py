"""What comes in by RPC or HTTP: decode, call one use case, encode."""
