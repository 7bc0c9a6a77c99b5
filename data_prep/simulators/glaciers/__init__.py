"""Idealised mountain range with glaciers: relief, ice, surfaces, satellite scenes, and an inventory of outlines."""
