"""Statistics behind the measures, as sums that are added up over times."""
