"""A provider that speaks OpenAI's wire format, fails on demand and remembers what it served."""
