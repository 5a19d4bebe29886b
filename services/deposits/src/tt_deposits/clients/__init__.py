"""What goes out: TRON nodes."""
