"""What servers use of the box, over time, and what happened to them meanwhile."""
