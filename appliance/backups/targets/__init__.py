"""Where backups are kept: a directory, an S3-compatible store, another box by rsync."""
