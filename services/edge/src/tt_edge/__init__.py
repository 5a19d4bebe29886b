"""The edge: proxies model calls, places holds on grants, emits usage events."""
