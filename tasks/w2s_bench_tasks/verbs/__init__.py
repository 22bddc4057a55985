"""Word problems with invented verbs, some common and most rare: a teacher has read a half of them."""
