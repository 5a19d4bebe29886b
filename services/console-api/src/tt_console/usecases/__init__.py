"""One verb a file. They know the domain and the ports, never a framework or a database."""
