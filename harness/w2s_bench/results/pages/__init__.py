"""A board as people read it: markdown and plots. Figures come from the board; none is computed here."""
