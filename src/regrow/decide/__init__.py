"""What should happen: pure functions from facts to plans, without clock, luck, log or I/O."""
