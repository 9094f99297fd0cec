"""A hub on loopback that behaves as the real ones do, and misbehaves on request.

Two servers: the hub itself (the API, and `resolve`, which redirects), and the store it redirects to, on another port,
as large files lie on another host. Small files (git blobs) are redirected within the hub. A FakeHub keeps every
request it got in `requests`, and does to a file what `faults[path]` says, one entry for each request of its content:

    ("cut", n)            n bytes of the body, then the connection is closed
    ("status", n, {...})  this status, with these headers
    ("no_range",)         the whole content, whatever was asked for
    ("bytes", b)          these bytes as the content
    ("slow", seconds)     the body in 20 pieces, with such a pause in between
    ("stall",)            a head, then nothing
    ("range", n)          a Content-Range that begins n bytes off
    ("encoding", name)    a Content-Encoding that nobody asked for
    None                  nothing

`lie` is called with each entry of the list of files and may change it.
"""
import collections
import hashlib
import http.server
import json
import threading
import time
import urllib.parse

SIGNATURE = "Signature=secret-of-the-store"


def git_sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Request:
    def __init__(self, server, path, headers):
        self.server, self.path, self.headers = server, path, headers


class FakeHub:
    LFS_SIZE = 1024  # content of this size and more lies in the store

    def __init__(self):
        self.repos = {}  # "org/name": {path: content}
        self.commits = {}
        self.token = None  # that the hub asks for; None: for none
        self.gated = {}  # repo: status of the refusal
        self.api_faults = []  # (status, headers), one for each request of the API
        self.faults = collections.defaultdict(list)
        self.lie = lambda entry: None
        self.wrong_headers = {}  # of the hub's answer that redirects to the store
        self.page = 1000
        self.redirect = None  # of the hub's `resolve`, instead of the store's address
        self.requests = []
        self.sent = collections.Counter()  # bytes of contents, by path
        self.pause = 0  # after each 16 KiB of every content
        self.hub = self._serve("hub")
        self.store = self._serve("store")

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.hub.server_port}"

    def close(self):
        for server in (self.hub, self.store):
            server.shutdown()
            server.server_close()

    def add(self, repo, files, commit=None):
        self.repos[repo] = files
        self.commits[repo] = commit or hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        return self.commits[repo]

    def entry(self, path, content):
        entry = {"type": "file", "oid": git_sha1(content), "size": len(content), "path": path}
        if len(content) >= self.LFS_SIZE:
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            entry["xetHash"] = hashlib.sha256(b"xet" + content).hexdigest()
        self.lie(entry)
        return entry

    def _serve(self, name):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                fake.requests.append(Request(name, self.path, dict(self.headers.items())))
                try:
                    getattr(fake, "_answer_" + name)(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *args: None  # clients that are killed
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    @staticmethod
    def _reply(to, status, body=b"", headers=None):
        to.send_response(status)
        for key, value in (headers or {}).items():
            to.send_header(key, value)
        to.send_header("Content-Length", str(len(body)))
        to.end_headers()
        if to.command != "HEAD":
            to.wfile.write(body)

    def _json(self, to, value, headers=None):
        self._reply(to, 200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _refuse(self, to, status, code, message=""):
        self._reply(to, status, b"{}", {"X-Error-Code": code, "X-Error-Message": message or code})

    # The hub.

    def _answer_hub(self, to):
        url = urllib.parse.urlsplit(to.path)
        path, query = urllib.parse.unquote(url.path), urllib.parse.parse_qs(url.query)
        if path.startswith("/api/v1/models/"):
            return self._answer_model_scope(to, path[len("/api/v1/models/"):], query)
        if path.startswith("/api/") and self.api_faults:
            status, headers, body = self.api_faults.pop(0)
            return self._reply(to, status, body, headers)
        if self.token is not None and to.headers.get("Authorization") != f"Bearer {self.token}":
            if to.headers.get("Authorization"):
                return self._refuse(to, 401, "", "Invalid credentials in Authorization header")
            return self._refuse(to, 401, "RepoNotFound", "Invalid username or password.")
        if path.startswith("/api/models/"):
            org, name, verb, revision = path[len("/api/models/"):].split("/", 3)
            return self._answer_api(to, f"{org}/{name}", verb, revision, query)
        if path.startswith("/api/resolve-cache/"):
            path = path[len("/api/resolve-cache"):]
        _, org, name, _, commit, file = path.split("/", 5)
        self._answer_resolve(to, f"{org}/{name}", commit, file, "/api/resolve-cache/" in to.path)

    def _answer_api(self, to, repo, verb, revision, query):
        if repo not in self.repos:
            return self._refuse(to, 404, "RepoNotFound", "Repository not found")
        if revision not in ("main", "v1", "refs/pr/1", self.commits[repo]):
            return self._refuse(to, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if verb == "revision":
            return self._json(to, {"id": repo, "sha": self.commits[repo]})
        if verb != "tree":
            return self._reply(to, 404)
        entries = [self.entry(path, content) for path, content in self.repos[repo].items()]
        folders = {path.rsplit("/", 1)[0] for path in self.repos[repo] if "/" in path}
        entries += [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in folders]
        begin = int(query.get("cursor", ["0"])[0])
        headers = {}
        if begin + self.page < len(entries):
            where = f"{self.endpoint}/api/models/{repo}/tree/{revision}?recursive=true&cursor={begin + self.page}"
            headers["Link"] = f'<{where}>; rel="next"'
        self._json(to, entries[begin : begin + self.page], headers)

    def _answer_resolve(self, to, repo, commit, file, direct):
        if repo in self.gated:
            return self._refuse(to, self.gated[repo], "GatedRepo", f"Access to model {repo} is restricted.")
        if repo not in self.repos or file not in self.repos[repo]:
            return self._refuse(to, 404, "EntryNotFound", "Entry not found")
        content = self.repos[repo][file]
        headers = {"X-Repo-Commit": self.commits[repo]}
        if len(content) < self.LFS_SIZE and not direct:
            headers["Location"] = f"/api/resolve-cache/{repo}/resolve/{commit}/" + urllib.parse.quote(file)
            return self._reply(to, 307, b"Temporary Redirect", headers)
        if len(content) < self.LFS_SIZE:
            return self._content(to, file, content, {"ETag": f'"{git_sha1(content)}"', **headers})
        headers["X-Linked-Etag"] = '"' + hashlib.sha256(content).hexdigest() + '"'
        headers["X-Linked-Size"] = str(len(content))
        headers["Location"] = self.redirect or (
            f"http://localhost:{self.store.server_port}/{repo}/{urllib.parse.quote(file)}?{SIGNATURE}")
        self._reply(to, 302, b"Found", {**headers, **self.wrong_headers})

    def _answer_model_scope(self, to, path, query):
        org, name, rest = path.split("/", 2)
        files = self.repos.get(f"{org}/{name}")
        if files is None:
            return self._reply(to, 404, b'{"Code":10010205001,"Message":"record not found"}')
        if rest == "repo/files":
            entries = []
            for path, content in files.items():
                entry = {"Type": "blob", "Path": path, "Name": path.rsplit("/", 1)[-1], "Size": len(content),
                         "Sha256": hashlib.sha256(content).hexdigest(), "Revision": "0" * 40}
                self.lie(entry)
                entries.append(entry)
            return self._json(to, {"Code": 200, "Data": {"Files": entries}, "Success": True})
        file = query["FilePath"][0]
        self._content(to, file, files[file], {})

    # The store.

    def _answer_store(self, to):
        url = urllib.parse.urlsplit(to.path)
        _, org, name, file = urllib.parse.unquote(url.path).split("/", 3)
        if url.query != SIGNATURE:
            return self._reply(to, 403)
        self._content(to, file, self.repos[f"{org}/{name}"][file], {})

    def _content(self, to, file, content, headers):
        fault = self.faults[file].pop(0) if self.faults[file] else None
        kind = fault[0] if fault else None
        if kind == "status":
            return self._reply(to, fault[1], b"", fault[2])
        if kind == "bytes":
            content = fault[1]
        begin, total = 0, len(content)
        asked = to.headers.get("Range")
        if asked and kind != "no_range":
            begin = int(asked[len("bytes="):].rstrip("-"))
            if begin >= total:
                return self._reply(to, 416, b"", {"Content-Range": f"bytes */{total}"})
            off = begin + fault[1] if kind == "range" else begin
            headers["Content-Range"] = f"bytes {off}-{total - 1}/{total}"
        if kind == "encoding":
            headers["Content-Encoding"] = fault[1]
        to.send_response(206 if "Content-Range" in headers else 200)
        for key, value in headers.items():
            to.send_header(key, value)
        to.send_header("Content-Length", str(total - begin))
        to.end_headers()
        if to.command != "HEAD":
            self._body(to, file, content[begin:], fault)

    def _body(self, to, file, body, fault):
        kind = fault[0] if fault else None
        if kind == "stall":
            time.sleep(60)
            body = b""
        if kind == "cut":
            body = body[: fault[1]]
        step = max(1, len(body) // 20) if kind == "slow" else 16384
        for at in range(0, len(body), step):
            to.wfile.write(body[at : at + step])
            self.sent[file] += len(body[at : at + step])
            time.sleep(fault[1] if kind == "slow" else self.pause)
        if kind in ("cut", "stall"):
            to.close_connection = True
