"""What is remembered: the journal, the status file, the log."""
