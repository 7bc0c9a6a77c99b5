"""Independent implementations in PyTorch of what is published, and the cases on which they are compared with ours."""
