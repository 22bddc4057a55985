"""Built-in choice domain `knowledge`: questions about cities, countries and chemical elements, with bundled models."""
