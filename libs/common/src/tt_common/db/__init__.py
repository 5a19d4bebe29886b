"""Database plumbing: engine, migrations, outbox, advisory leadership. No service's tables."""
