"""The suites that ship, and the page that says what a suite file may hold. Nothing of a run may enter."""
