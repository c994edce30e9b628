"""Our own settings: their schema, where they come from, what may change while running."""
