"""What is seen: observers listen and look, and never change anything."""
