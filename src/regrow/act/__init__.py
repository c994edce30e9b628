"""What is done: the only place that changes the world."""
