"""The Panel app: choices in, results of `ldml` drawn."""
