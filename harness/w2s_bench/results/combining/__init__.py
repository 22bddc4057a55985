"""Two results folders and more: what differs between them, one made of several, rows taken from one into another."""
