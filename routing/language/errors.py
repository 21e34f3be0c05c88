"""The errors of a request whose caller is known."""

from core.errors import ApiError


class ValidationError(ApiError):
    """A field is wrong; `details` lists `{"field", "message"}`."""

    code, status = "validation_error", 400


class BadRequest(ApiError):
    code, status = "bad_request", 400


class NotFound(ApiError):
    code, status = "not_found", 404


class MethodNotAllowed(ApiError):
    code, status = "method_not_allowed", 405


class ThreadUnsupported(ApiError):
    """The Messages API's error for a stored conversation that it does not have; clients then resend it."""

    code, status = "thread_unsupported_request", 400


class UnsupportedParameter(ApiError):
    """A parameter of an imitated API for a feature that RoutePlex does not have."""

    code, status = "unsupported_parameter", 400


class PreviousResponseNotFound(ApiError):
    """OpenAI's error for a response that is not stored, or no longer."""

    code, status = "previous_response_not_found", 400


class ItemNotFound(ApiError):
    """A reference to an item that is not stored, or no longer."""

    code, status = "item_not_found", 404


class EmptyMessages(ApiError):
    code, status = "empty_messages", 400


class InvalidMode(ApiError):
    code, status = "invalid_mode", 400


class InvalidModel(ApiError):
    """No such model; `details` holds near matches."""

    code, status = "invalid_model", 400


class NoCapableModel(ApiError):
    code, status = "no_capable_model", 400


class BudgetTooLow(ApiError):
    code, status = "budget_too_low", 400


class ContextLengthExceeded(ApiError):
    code, status = "context_length_exceeded", 400


class ContentPolicyViolation(ApiError):
    code, status = "content_policy_violation", 400


class UnsupportedMediaType(ApiError):
    """The body is encoded in a way that is not read here."""

    code, status = "unsupported_media_type", 415


class PayloadTooLarge(ApiError):
    code, status = "payload_too_large", 413


class RequestTimeout(ApiError):
    """The caller did not read the answer before the request's deadline."""

    code, status = "request_timeout", 408


class ProviderError(ApiError):
    code, status = "provider_error", 502


class ProviderTimeout(ApiError):
    code, status = "provider_timeout", 504


class ProviderUnavailable(ApiError):
    code, status = "provider_unavailable", 503


class AllProvidersFailed(ApiError):
    """Every candidate tried has failed; `details["attempts"]` lists them."""

    code, status = "all_providers_failed", 503


class InternalError(ApiError):
    code, status = "internal_error", 500
