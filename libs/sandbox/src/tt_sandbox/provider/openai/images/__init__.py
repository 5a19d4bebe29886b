"""OpenAI's image endpoints: generations, and edits with uploaded images."""
