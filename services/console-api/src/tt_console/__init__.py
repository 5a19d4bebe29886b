"""The console API: accounts, API keys, the catalog, the audit log and usage read models."""
