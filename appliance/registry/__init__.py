"""Registries: pushing images, credentials, manifest lists, pruning."""
