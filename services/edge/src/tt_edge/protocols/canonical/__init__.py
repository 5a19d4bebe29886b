"""What all chat protocols have in common: the one form between each client protocol and each provider dialect."""
