"""What comes in by event: decode, call one use case, ack, nak or term."""
