"""A provider that speaks OpenAI's, Anthropic's and Gemini's wire formats, fails on demand and remembers what it served.

`app` finds the endpoint and guards it, a folder a vendor holds the vendor's shapes, `answers` decides what is said, `streams` sends it.
The switches and the record are the same for all; docs/sandbox-provider.md has the table.
"""
