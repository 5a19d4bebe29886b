"""The OpenAI wire protocol: chat completions, embeddings, models."""
