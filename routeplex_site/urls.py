"""The URLs of the whole site."""

from django.urls import URLPattern, URLResolver, include, path

from routeplex_site import favicon, health

handler400 = "routeplex_site.refusals.malformed_request"
handler403 = "routeplex_site.refusals.permission_denied"
handler500 = "routeplex_site.refusals.server_error"

urlpatterns: list[URLPattern | URLResolver] = [
    path("favicon.ico", favicon.favicon),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("", include("routing.doors.urls")),
    path("", include("routing.pages.urls")),
    path("", include("billing.pages.urls")),
    path("", include("accounts.urls")),
    path("accounts/", include("allauth.urls")),
]
