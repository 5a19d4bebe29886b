"""What goes out: billing over NATS, providers over HTTP, events and idempotent replies to JetStream."""
