"""Anthropic's endpoints: messages, streamed and whole, and count_tokens."""
