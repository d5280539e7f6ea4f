"""Complete, commented settings in TOML."""
