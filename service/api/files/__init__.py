"""Files: uploaded data sets and produced results."""
