"""Every error a user can meet. The message is one sentence: what is wrong, where, and what to do."""


class RecruiterError(Exception):
    """Base of the errors below; commands print it without a stack trace."""


class ConfigError(RecruiterError):
    """A setting is unknown, has the wrong type, or contradicts another one."""


class MissingKeyError(ConfigError):
    """A provider's key is not set."""


class DataError(RecruiterError):
    """A role record, data file or prompt file is missing or invalid."""


class ModelError(RecruiterError):
    """A model folder or checkpoint is missing, damaged, or of the wrong kind."""


class ApiError(RecruiterError):
    """A model behind an API cannot be used at all: wrong key, no such model, no credit. A single failed call is an unscored
    judgement or an unwritten question instead."""


class BudgetError(ApiError):
    """Calls have cost what the budget allows."""


class JudgeError(ApiError):
    """A judge cannot be used at all."""


class ExportError(RecruiterError):
    """A checkpoint cannot be made into a model folder, or the folder is not what it should be."""


class HubError(RecruiterError):
    """The Hub refused, or could not be reached."""


class EndpointError(RecruiterError):
    """An inference endpoint cannot be made, reached or used."""


class UnscoredError(RecruiterError):
    """Too many samples came back unscored for training to go on."""


class DivergedError(RecruiterError):
    """Gradients are no numbers any more: nothing is learned."""


class EngineError(RecruiterError):
    """A process that samples or trains has ended or cannot start."""
