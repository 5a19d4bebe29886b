"""The benchmark behind `make bench`: the edge against a bare passthrough of the same provider."""
