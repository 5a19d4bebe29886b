"""OpenAI's audio endpoints: speech to text of uploads, text to speech as bytes or events."""
