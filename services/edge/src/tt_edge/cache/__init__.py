"""The response cache: which requests are the same, and the answers kept for them, in memory and shared between edges."""
