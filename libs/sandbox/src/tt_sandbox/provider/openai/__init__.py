"""OpenAI's endpoints: chat completions and embeddings."""
