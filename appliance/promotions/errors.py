"""What the product refuses about promotions."""

from appliance.core.errors import ConflictError, NotFoundError


class TrackNotFoundError(NotFoundError):
    """There is no such track, or the caller may not know of it."""

    code = "promotion_track_not_found"


class TrackNameTakenError(ConflictError):
    """Another track has the name."""

    code = "promotion_track_name_taken"


class TrackInUseError(ConflictError):
    """Something on the track is on its way or active."""

    code = "promotion_track_in_use"


class PromotionNotFoundError(NotFoundError):
    """There is no such promotion, or the caller may not know of it."""

    code = "promotion_not_found"


class TrainNotFoundError(NotFoundError):
    """There is no such train, or the caller may not know of it."""

    code = "promotion_train_not_found"


class StageOrderError(ConflictError):
    """The digest is not active in the stage before."""

    code = "promotion_stage_order"


class AlreadyPromotedError(ConflictError):
    """The digest is in this stage, or on its way there."""

    code = "promotion_exists"


class PromotionStateError(ConflictError):
    """The promotion is in a state that forbids this."""

    code = "promotion_state"
