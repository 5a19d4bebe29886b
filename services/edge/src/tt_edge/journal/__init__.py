"""The edge's journal on local disk: what was started, what was settled, and what a dead epoch left behind."""
