"""How items and bundled models are made (development only): no run needs anything here."""
