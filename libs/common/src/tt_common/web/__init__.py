"""Web plumbing: health endpoints and the way a service is served."""
