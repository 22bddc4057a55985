"""A results folder as one HTML file, and served while a run goes on. Made of the folder's files alone."""
