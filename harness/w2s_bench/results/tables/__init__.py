"""A board as tables that people take along: one line an arm, or one line a cell, in the formats of other programs."""
