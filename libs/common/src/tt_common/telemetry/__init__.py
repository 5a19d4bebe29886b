"""What the services tell about themselves: traces through OpenTelemetry, metrics for Prometheus. Never tells a secret."""
