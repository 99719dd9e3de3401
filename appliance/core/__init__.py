"""What every room may use and what uses nothing: errors, ids, time, units."""
