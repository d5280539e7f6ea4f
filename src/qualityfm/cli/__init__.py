"""The command line: a table of verbs, each loaded on use."""
