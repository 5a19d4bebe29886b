"""Which provider gets a call, and which is left alone for a while."""
