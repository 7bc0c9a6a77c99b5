"""Reports: scores.json, details.json, figures, report.html and the terminal."""
