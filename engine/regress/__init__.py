"""Policies as tested software: suites, coverage, mutants, differences, what would flip a decision."""
