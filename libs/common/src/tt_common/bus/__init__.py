"""The bus: NATS connections, RPC, event publishing, durable consumers and KV mirrors."""
