"""Every error a user can meet. The message is one sentence: what is wrong, where, and what to do."""


class RecruiterError(Exception):
    """Base of the errors below; commands print it without a stack trace."""


class ConfigError(RecruiterError):
    """A setting is unknown, has the wrong type, or contradicts another one."""


class DataError(RecruiterError):
    """A role record, data file or prompt file is missing or invalid."""


class ModelError(RecruiterError):
    """A model folder or checkpoint is missing, damaged, or of the wrong kind."""


class JudgeError(RecruiterError):
    """A judge cannot be used at all. A single failed judgement is an unscored `Judgement` instead."""


class BudgetError(JudgeError):
    """Judging has cost what `judge.budget_usd` allows."""


class UnscoredError(RecruiterError):
    """Too many samples came back unscored for training to go on."""


class EngineError(RecruiterError):
    """A process that samples or trains has ended or cannot start."""
