"""
Files by nginx with one worker, on a free port of several addresses of loopback.

    python -m bench.static FOLDER

Announces `http://127.0.0.1:PORT` and then becomes nginx, as `bench.peers.nginx` does. Everything
nginx writes stays in the folder that this is started in.
"""

import os
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

from bench.corpus import HOSTS
from bench.peers.nginx import become_nginx

CONFIGURATION = """\
daemon off;
worker_processes 1;
user {user};
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 100000000;
    types {{ text/html html; }}
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
    scgi_temp_path t5;
    server {{
        {listen}
        root "{root}";
    }}
}}
"""


def listening() -> list[socket.socket]:
    """Sockets on one port of all hosts."""
    while True:
        with ExitStack() as taken:
            first = taken.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = first.getsockname()[1]
            with suppress(OSError):  # somebody has that port of another host: once more
                places = [(f"127.0.0.{host}", port) for host in range(2, HOSTS + 1)]
                rest = [taken.enter_context(socket.create_server(place)) for place in places]
                taken.pop_all()
                return [first, *rest]


def user() -> str:
    """User and group that we are, so that the worker can read what we can."""
    import grp  # neither is to be had on Windows
    import pwd

    return f"{pwd.getpwuid(os.getuid()).pw_name} {grp.getgrgid(os.getgid()).gr_name}"


def main() -> None:
    """Listen, announce it and hand the sockets to nginx."""
    sockets = listening()
    places = [each.getsockname() for each in sockets]
    listen = " ".join(f"listen {host}:{port} backlog=1024;" for host, port in places)
    print(f"http://127.0.0.1:{places[0][1]}", flush=True)
    root = Path(sys.argv[1]).resolve()
    become_nginx(CONFIGURATION.format(user=user(), listen=listen, root=root), sockets)


if __name__ == "__main__":
    main()
