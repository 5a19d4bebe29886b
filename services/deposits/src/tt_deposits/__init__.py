"""Watch-only USDT deposits on TRON: from the chain to the wallet, exactly once."""
