"""``python -m samcolloid_edge.cli``."""

from .main import main

main()
