"""Simulated ice crystals: solids of several habits, their 3-D properties, and their silhouettes."""
