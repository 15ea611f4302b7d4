"""Who gets in: accounts of a directory, or for demonstrations a short list in a file. Knows nothing of the queue."""

from .accounts import AccountsAuthenticator
from .directory import GPUQueueLDAPAuthenticator
from .refusals import LoginRefused

__all__ = ["AccountsAuthenticator", "GPUQueueLDAPAuthenticator", "LoginRefused"]
