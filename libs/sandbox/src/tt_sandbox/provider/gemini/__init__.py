"""Gemini's endpoints: generateContent, streamGenerateContent, countTokens."""
