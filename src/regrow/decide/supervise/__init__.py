"""How one gateway process is kept: what is known of it, and what follows while it runs, ends, or is down."""
