"""Wire protocols: parse, build, stream, errors. One folder a protocol."""
