"""What a machine without real providers runs: embedded engines, the stack's supervisor and a sandbox provider."""
