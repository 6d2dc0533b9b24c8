"""Reports: findings, suites, coverage, differences and explanations as text and for tools."""
