"""Errors that Django raises before or around a view: JSON below the API's paths, pages elsewhere."""

from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.views import defaults

from core.database import database_unavailable
from core.errors import ApiError, PermissionDenied
from routing.doors.registry import door_at
from routing.language.errors import BadRequest, InternalError
from routing.language.ids import new_request_id

API_PATHS = ("/api/", "/v1/")


def malformed_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PATHS):
        return _json(request, BadRequest("The request cannot be read. Check its host, headers and path."))
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PATHS):
        return _json(request, PermissionDenied("This is not allowed."))
    return defaults.permission_denied(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API_PATHS):
        return _json(request, InternalError("Something went wrong on our side. Try again."))
    return defaults.server_error(request)


def database_away(request: HttpRequest) -> HttpResponse:
    """503 with `Retry-After`; the page needs neither session nor database."""
    error = database_unavailable()
    if request.path.startswith(API_PATHS):
        return _json(request, error)
    page = loader.get_template("503.html").render({"message": error.message})
    return HttpResponse(page, status=error.status, headers=error.headers)


def _json(request: HttpRequest, error: ApiError) -> HttpResponse:
    request_id: str = getattr(request, "request_id", None) or new_request_id()
    return door_at(request.path, request.headers).error_response(error, request_id)
