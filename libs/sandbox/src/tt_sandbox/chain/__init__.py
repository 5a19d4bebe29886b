"""A scripted TRON chain, told by several nodes that can lie, lag and fail: what deposits are tested against.

`ledger` is the one true chain and `view` what a node believes of it; `node` and `jsonrpc` speak the wire, `control` is the tests' own door.
docs/sandbox-chain.md has the table of switches.
"""
