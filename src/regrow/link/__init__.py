"""The gateway's wire, shared by those who look and those who act."""
