"""Speed and claims: each script prints a table. Never part of the tests."""
