"""Comparisons run by hand: each module prints one table, with ratios taken within one run."""
