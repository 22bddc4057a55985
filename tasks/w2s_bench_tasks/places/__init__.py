"""Built-in choice domain `places`: in which region a city lies, with bundled models whose errors come of what they have not read."""
