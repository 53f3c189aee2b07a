"""
The same service by nginx with its echo module: announced, and then this process becomes nginx.

One worker serves; with no master beside it nginx crashes over a socket that it was handed.
Everything nginx writes stays in the folder that this is started in.
"""

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")  # where Debian puts it

CONFIGURATION = """\
load_module {module};
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr error;
worker_rlimit_nofile {files};
events {{ worker_connections 65536; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
    scgi_temp_path t5;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /aio {{
            default_type application/json;
            echo_sleep $arg_delay;
            echo '{{"delay": $arg_delay}}';
        }}
    }}
}}
"""
# With fewer than a sixteenth of its connections left, nginx closes idle ones: hence so many.


def main() -> None:
    """Listen on a free port, announce it and hand the socket to nginx."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4_096)
    port = listener.getsockname()[1]
    files = os.sysconf("SC_OPEN_MAX")
    print(f"http://127.0.0.1:{port}", flush=True)
    become_nginx(CONFIGURATION.format(module=ECHO, files=files, port=port), [listener])


def become_nginx(configuration: str, listeners: Sequence[socket.socket]) -> NoReturn:
    """Let nginx take this process and its sockets over, in the folder where it is."""
    Path("nginx.conf").write_text(configuration, encoding="utf-8")
    for listener in listeners:
        listener.set_inheritable(True)
    # NGINX names sockets that are open already: how nginx hands its own to a new nginx.
    handed = "".join(f"{listener.fileno()};" for listener in listeners)
    command = ["nginx", "-p", str(Path.cwd()), "-c", "nginx.conf", "-e", "stderr"]
    os.execvpe("nginx", command, {**os.environ, "NGINX": handed})


if __name__ == "__main__":
    main()
