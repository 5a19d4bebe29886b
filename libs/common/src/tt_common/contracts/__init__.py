"""What travels between services: streams and subjects, events, RPC requests and replies, KV records.

All are msgspec structs: unknown fields are ignored on decoding, types are checked. Fields are only ever added, with a default.
"""
