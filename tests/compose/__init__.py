"""The product in containers, tried for real. Needs Docker, so it is no part of `make test`: `make trial`."""
