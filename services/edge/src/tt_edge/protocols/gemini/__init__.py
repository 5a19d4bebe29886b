"""The Gemini wire protocol: generateContent, whole and streamed, and what goes with it."""
