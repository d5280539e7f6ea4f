"""The files of the viewer's page, by the paths under which they are served: without a token, for they hold no data."""

#: Every file of the page, with its type: nothing else is ever read from the folder.
PAGE_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/viewer/viewer.js": ("viewer.js", "text/javascript; charset=utf-8"),
    "/viewer/alarms.js": ("alarms.js", "text/javascript; charset=utf-8"),
    "/viewer/plots.js": ("plots.js", "text/javascript; charset=utf-8"),
    "/viewer/viewer.css": ("viewer.css", "text/css; charset=utf-8"),
    "/viewer/uplot.js": ("uplot.js", "text/javascript; charset=utf-8"),
    "/viewer/uplot.css": ("uplot.css", "text/css; charset=utf-8"),
    "/viewer/uplot-license.txt": ("uplot-license.txt", "text/plain; charset=utf-8"),
}
