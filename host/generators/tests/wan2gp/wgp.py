"""Stands where Wan2GP's program stands; the bridge never starts it."""
