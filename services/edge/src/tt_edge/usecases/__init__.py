"""What the edge does, one verb a file. `relay_call` is the hot path."""
