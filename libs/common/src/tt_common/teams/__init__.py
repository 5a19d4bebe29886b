"""Internal teams on NATS: an account each, whose only way in is a sourced copy of the stream USAGE."""
