"""Anthropic's messages: the client protocol and the provider dialect."""
