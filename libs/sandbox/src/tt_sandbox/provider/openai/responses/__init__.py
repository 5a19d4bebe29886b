"""OpenAI's Responses endpoint: requests, answers as items, the events of a stream, and what is kept."""
