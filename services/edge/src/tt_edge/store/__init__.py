"""What the edge knows: keys and catalog, mirrored in memory from NATS. The edge has no database."""
