"""What goes out: recalls to the edges."""
