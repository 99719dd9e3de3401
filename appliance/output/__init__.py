"""What servers print: kept, searched and followed."""
