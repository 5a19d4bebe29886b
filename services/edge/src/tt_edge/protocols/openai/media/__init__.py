"""OpenAI's images and audio, to providers that speak the same."""
