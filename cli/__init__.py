"""The samcolloid-edge program, one module a command."""
