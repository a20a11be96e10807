"""A Django application in one file, as its image would contain it."""

import sys
from pathlib import Path

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

FOLDER = Path(__file__).parent

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.staticfiles"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    STATIC_URL="static/",
    STATIC_ROOT=FOLDER / "staticfiles",
    STATICFILES_DIRS=[FOLDER / "static"],
)
django.setup()

urlpatterns = [path("", lambda request: HttpResponse("served\n"))]

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
