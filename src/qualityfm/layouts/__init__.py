"""Layouts that ship: complete, commented TOML files, one for each well-known way to lay out an archive."""
