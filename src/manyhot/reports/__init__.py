"""A run as one page that a person can read, keep and send. Loads without torch."""
