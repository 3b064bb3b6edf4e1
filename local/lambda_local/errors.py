"""Every error a caller of the package can meet.

LambdaLocalError
+- TemplateError            the template, or a parameter of it, is wrong or asks for what is not emulated
+- IsolationError           environments cannot be given namespaces of their own
+- FunctionNotFoundError    no function of that name is deployed
+- PayloadError             an event is not JSON, or larger than Lambda takes
+- ThrottledError           no room for one more invocation now
+- ServiceStoppedError      the service ended before the work did
+- EnvironmentGoneError     a warm process ended by itself before it took the invocation (handled within)
"""


class LambdaLocalError(Exception):
    """Base of the errors of this package."""


class TemplateError(LambdaLocalError):
    """The template cannot be deployed; the message names the resource or the parameter."""


class IsolationError(LambdaLocalError):
    """Namespaces are asked for, and this machine or this user does not get any."""


class FunctionNotFoundError(LambdaLocalError):
    """No deployed function has the name."""


class PayloadError(LambdaLocalError):
    """The payload of an invocation is not acceptable.

    Attributes
    ----------
    is_too_large : bool
        False: it is not JSON.
    """

    def __init__(self, message: str, *, is_too_large: bool) -> None:
        super().__init__(message)
        self.is_too_large = is_too_large


class ThrottledError(LambdaLocalError):
    """The concurrency of the function or of the whole service is used up.

    Attributes
    ----------
    reason : str
        As Lambda's API spells it.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class ServiceStoppedError(LambdaLocalError):
    """The service was stopped while the work was waiting or running."""


class EnvironmentGoneError(LambdaLocalError):
    """An execution environment ended while idle: the invocation it was given can go to another one."""
