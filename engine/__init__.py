"""The torch-free runtime: one module a step."""
