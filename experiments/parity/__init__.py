"""Independent PyTorch implementations of the published networks, and the cases on which they are compared with ours."""
