"""A board as people and programs read it: markdown, plots, JSON. Figures come from the board; none is computed here."""
