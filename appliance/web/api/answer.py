"""What every answer of the API is made of."""

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of every answer.

    Made ready when the first one is given: a box at rest gives few of them, and each takes fifteen kilobytes.
    """

    model_config = ConfigDict(defer_build=True)
