"""Devices, checkpoints, errors, messages, memory and files."""
