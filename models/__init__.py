"""Model cards, the bundled model and the errors every module raises."""
