"""Billing: wallets, grants, settlement, prices and the double-entry ledger."""
