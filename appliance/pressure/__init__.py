"""What runs short on the box, before it hurts: memory, disks, descriptors, connections, and what the clock does."""
