"""Reading and checking of data sets: stores, axes, units, calendars, levels, masks."""
