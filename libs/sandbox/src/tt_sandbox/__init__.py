"""What a machine without real providers runs: embedded engines, the stack's supervisor, a sandbox provider and a sandbox chain."""
