"""Records to batches."""

# TensorFlow makes its own copy of zstd visible to whatever is loaded after it: chunks of Zarr would be compressed to
# other bytes in a process that has trained than in one that resumes
import numcodecs.zstd  # noqa: F401
