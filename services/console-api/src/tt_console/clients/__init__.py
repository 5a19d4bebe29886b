"""What goes out: billing over NATS RPC, streams and buckets."""
