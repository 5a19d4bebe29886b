"""Several workers behind one port: the process that looks after them, and what each knows of the others."""
