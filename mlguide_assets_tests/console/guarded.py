"""Files on the web, for who knows the password."""

import base64
import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECRET = "hush-8f3a"


@contextmanager
def guarded(folder: Path) -> Iterator[str]:
    """Serve the files of a folder on a free port, until the block ends; gives the address with the password."""
    handler = functools.partial(_Guarded, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://reader:{SECRET}@127.0.0.1:{server.server_port}"
        server.shutdown()


def files_with_secret(home: Path) -> list[Path]:
    """The files of a home in which the password is."""
    return [path for path in home.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


class _Guarded(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.headers["Authorization"] == f"Basic {base64.b64encode(f'reader:{SECRET}'.encode()).decode()}":
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, *_: object) -> None:
        pass
