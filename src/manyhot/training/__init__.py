"""Training: what one step does, what it logs, and how a training stops and goes on."""
