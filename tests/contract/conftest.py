"""Fixtures of the contract suites."""

from tests.engine import (
    base_image,
    box,
    docker_executor,
    engine,
    named_user_image,
    strange_image,
)

__all__ = [
    "base_image",
    "box",
    "docker_executor",
    "engine",
    "named_user_image",
    "strange_image",
]
