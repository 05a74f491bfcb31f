"""The command: parse, call `manyhot.runs`, render. Its shell loads without torch."""
