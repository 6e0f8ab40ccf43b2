"""A stand-in for S3, Parameter Store, Secrets Manager and the address of a container's credentials, for one agent."""

import base64
import datetime
import hashlib
import hmac
import http.server
import io
import json
import select
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import urllib.parse

KEY = "AKIDEXAMPLE"
SECRET = "do-not-print-me"
TOKEN = "do-not-print-this/token"
REGION = "eu-west-1"
# What STS says of the agent: ROLE-ID:TASK-ID.
IDENTITY = "AROAEXAMPLE:0a1b2c3d"
# What a container shows to get credentials.
CONTAINER_TOKEN = "do-not-print-this-either"


def signature(date, service, text):
    """Version 4 of AWS's signatures (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html)."""
    key = f"AWS4{SECRET}".encode()
    for part in (date, REGION, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def git_password(time, host, path):
    """What `aws codecommit credential-helper` gives at this time."""
    request = hashlib.sha256(f"GIT\n{path}\n\nhost:{host}\n\nhost\n".encode()).hexdigest()
    date = time[:8]
    return f"{time}Z" + signature(date, "codecommit", f"AWS4-HMAC-SHA256\n{time}\n{date}/{REGION}/codecommit/aws4_request\n{request}")


def authority(folder):
    """Makes a certificate authority, and a server's certificate of it with its key. Returns the files of both."""
    names = {
        "authority": ["-x509", "-subj", "/CN=authority", "-addext", "basicConstraints=critical,CA:TRUE"],
        "server": ["-x509", "-CA", "authority.pem", "-CAkey", "authority.key", "-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1",
                   "-addext", "basicConstraints=CA:FALSE"],
    }
    for name, options in names.items():
        command = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", *options]
        subprocess.run([*command, "-keyout", f"{name}.key", "-out", f"{name}.pem"], cwd=folder, check=True, capture_output=True)
    whole = folder / "whole.pem"
    whole.write_bytes((folder / "server.key").read_bytes() + (folder / "server.pem").read_bytes())
    return folder / "authority.pem", whole


class Proxy(socketserver.ThreadingTCPServer):
    """A proxy for requests with TLS, which notes what it is asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.asked = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Tunnel(socketserver.StreamRequestHandler):
    # Nothing may be read ahead of what the two say to each other.
    rbufsize = 0

    def handle(self):
        asked = self.rfile.readline().decode().strip()
        self.server.asked.append(asked)
        while self.rfile.readline().strip():
            pass
        host, _, port = asked.split(" ")[1].rpartition(":")
        with socket.create_connection((host, int(port))) as other:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            ends = {self.request: other, other: self.request}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    read = end.recv(65536)
                    if not read:
                        return
                    ends[end].sendall(read)


class Store(http.server.ThreadingHTTPServer):
    """Objects in a folder, each in a file below its bucket's folder."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.server_port}"
        # The keys that were written, in order, with their media types.
        self.written = []
        # How many further writes are throttled, and the parts of keys whose writes are throttled or denied for ever.
        self.failures = 0
        self.throttled = None
        self.denied = None
        # How many further answers are cut off.
        self.cuts = 0
        # What becomes of the next reads of keys with this part: "throttle" refuses one, "break" ends its answer in the middle, "pause" waits there.
        self.reads = {}
        self.paused = threading.Event()
        # Contents of versions, by key with its bucket and version. Keys that were asked for, with the version.
        self.versions = {}
        self.read = []
        # Whether a missing key and one that may not be read have different answers.
        self.lists = True
        # How long the write of an artifact takes, and whether one has begun.
        self.slow = 0
        self.begun = threading.Event()
        # How long that of a report takes, and in which other region the bucket is.
        self.slow_report = 0
        self.elsewhere = None
        # Whether the address of credentials answers.
        self.silent = False
        # Values of parameters, and of secrets: texts, or bytes. The names of those that may not be read, and how many further requests for them are throttled.
        self.parameters, self.secrets = {}, {}
        self.forbidden = set()
        self.throttles = 0
        # The names that each request asked for.
        self.asked = []
        # How often credentials were asked for.
        self.credentials = 0
        # Who asks, and what they may: an action and a key with its bucket.
        self.identity = IDENTITY
        self.permits = lambda _action, _key: True
        # How often the identity was asked for, and whether it is.
        self.identities = 0
        self.unknown = False
        self.mistakes = []
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def speak_tls(self, certificate):
        """From here on it speaks TLS, with the certificate and the key in this file."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # The handshake is the connection's own thread's.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = self.url.replace("http:", "https:")

    def close(self):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        # Clients that have gone.
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_arguments):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code, message, headers=()):
        self.answer(status, f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode(), headers)

    def do_GET(self):
        if self.path == "/credentials":
            self.server.credentials += 1
            if self.server.silent:
                return self.server.closing.wait(60)
            if self.headers.get("Authorization") != CONTAINER_TOKEN:
                return self.answer(403)
            hour = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
            expires = hour.strftime("%Y-%m-%dT%H:%M:%SZ")
            return self.answer(200, json.dumps({"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": expires}).encode())
        if not self.is_signed(b""):
            return self.refuse(403, "SignatureDoesNotMatch", "no")
        if not self.server.permits("s3:GetObject", self.key()):
            return self.refuse(403, "AccessDenied", "denied")
        return self.get_object()

    def get_object(self):
        server, path = self.server, self.file()
        version = dict(urllib.parse.parse_qsl(self.path.partition("?")[2])).get("versionId")
        server.read.append((self.key(), version))
        fault = next((faults.pop(0) for part, faults in server.reads.items() if part in self.key() and faults), None)
        if fault == "throttle":
            return self.refuse(503, "SlowDown", "throttled")
        there = (self.key(), version) in server.versions if version else path.is_file()
        if not there and not server.lists:
            return self.refuse(403, "AccessDenied", "Access Denied")
        if not there:
            code, what = ("NoSuchVersion", "version") if version else ("NoSuchKey", "key")
            return self.refuse(404, code, f"The specified {what} does not exist.")
        with io.BytesIO(server.versions[self.key(), version]) if version else path.open("rb") as content:
            size = content.seek(0, io.SEEK_END)
            content.seek(0)
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if fault:
                self.wfile.write(content.read(size // 2))
                server.paused.set()
                if fault == "pause":
                    server.closing.wait(60)
                self.close_connection = True
                return self.connection.shutdown(socket.SHUT_RDWR)
            return shutil.copyfileobj(content, self.wfile, 1 << 20)

    def do_POST(self):
        """Requests of AWS's JSON protocol 1.1, and the one of STS, which has a form."""
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "X-Amz-Target" not in self.headers:
            return self.identity(body.decode())
        service, operation = {"AmazonSSM.GetParameters": ("ssm", self.get_parameters), "secretsmanager.GetSecretValue": ("secretsmanager", self.get_secret)}[
            self.headers["X-Amz-Target"]
        ]
        if not self.is_signed(body, service):
            return self.fail("InvalidSignatureException", "no")
        if server.throttles > 0:
            server.throttles -= 1
            return self.fail("ThrottlingException", "Rate exceeded")
        return operation(json.loads(body))

    def identity(self, form):
        if urllib.parse.parse_qs(form).get("Action") != ["GetCallerIdentity"]:
            return self.answer(404)
        self.server.identities += 1
        if self.server.unknown:
            text = "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>expired</Message></Error></ErrorResponse>"
            return self.answer(403, text.encode())
        result = f"<GetCallerIdentityResult><UserId>{self.server.identity}</UserId></GetCallerIdentityResult>"
        return self.answer(200, f"<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>".encode())

    def do_PUT(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.file()
        if not self.is_signed(body):
            return self.refuse(403, "SignatureDoesNotMatch", "no")
        if not server.permits("s3:PutObject", self.key()):
            return self.refuse(403, "AccessDenied", "denied")
        if server.cuts > 0:
            server.cuts -= 1
            self.close_connection = True
            return self.connection.shutdown(socket.SHUT_RDWR)
        if server.failures > 0 or server.throttled and server.throttled in self.path:
            server.failures -= 1
            return self.refuse(503, "SlowDown", "throttled")
        if server.denied and server.denied in self.path:
            return self.refuse(403, "AccessDenied", "denied")
        if server.elsewhere:
            return self.refuse(301, "PermanentRedirect", "elsewhere", {"x-amz-bucket-region": server.elsewhere})
        if self.path.partition("?")[0].endswith("/result.json") and server.slow_report and (server.closing.wait(server.slow_report) or self.is_gone()):
            return None
        if "/artifacts/" in self.path:
            server.begun.set()
            # A client that goes away meanwhile has not sent everything.
            if server.slow and (server.closing.wait(server.slow) or self.is_gone()):
                return None
        server.written.append((self.key(), self.headers.get("Content-Type")))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return self.answer(200)

    def get_parameters(self, request):
        server, names = self.server, request["Names"]
        server.asked.append(names)
        if len(names) > 10 or len(set(names)) < len(names) or not request["WithDecryption"]:
            return self.fail("ValidationException", f"{len(names)} names")
        for name in names:
            if name in server.forbidden:
                return self.fail("AccessDeniedException", f"User: agent is not authorized to perform: ssm:GetParameters on resource: parameter{name}")
        found = [{"Name": name, "Value": server.parameters[name]} for name in names if name in server.parameters]
        return self.say({"Parameters": found, "InvalidParameters": [name for name in names if name not in server.parameters]})

    def get_secret(self, request):
        server, name = self.server, request["SecretId"]
        server.asked.append([name])
        if name in server.forbidden:
            return self.fail("AccessDeniedException", "User: agent is not authorized to perform: secretsmanager:GetSecretValue")
        if name not in server.secrets:
            return self.fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        value = server.secrets[name]
        return self.say({"SecretString": value} if isinstance(value, str) else {"SecretBinary": base64.b64encode(value).decode()})

    def say(self, answer, status=200):
        return self.answer(status, json.dumps(answer).encode(), {"Content-Type": "application/x-amz-json-1.1"})

    def fail(self, code, message):
        return self.say({"__type": code, "Message": message}, 400)

    def key(self):
        return urllib.parse.unquote(self.path.partition("?")[0])

    def file(self):
        return self.server.folder / self.key().lstrip("/")

    def is_gone(self):
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def is_signed(self, body, service="s3"):
        """Whether the request is signed as the service wants it, and its content has the hash that it names."""
        digest = hashlib.sha256(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        fields = dict(part.strip().split("=", 1) for part in headers.get("authorization", "X a=").split(" ", 1)[1].split(","))
        time = headers.get("x-amz-date", "")
        scope = f"{time[:8]}/{REGION}/{service}/aws4_request"
        names = fields.get("SignedHeaders", "").split(";")
        listed = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in names)
        path, _, query = self.path.partition("?")
        query = "&".join(sorted(query.split("&")))
        # A file that is sent in pieces is not signed, but its hash is.
        content = headers.get("x-amz-content-sha256", digest.hexdigest())
        request = f"{self.command}\n{path}\n{query}\n{listed}\n{';'.join(names)}\n{content}"
        text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        checks = {
            "credential": fields.get("Credential") == f"{KEY}/{scope}",
            "token": headers.get("x-amz-security-token") == TOKEN,
            "content": content == digest.hexdigest() or content == "UNSIGNED-PAYLOAD" and "x-amz-checksum-sha256" in names,
            "checksum": self.command in ("GET", "POST") or headers.get("x-amz-checksum-sha256") == base64.b64encode(digest.digest()).decode(),
            "headers": {"host", "x-amz-date", "x-amz-security-token", *(["x-amz-content-sha256"] if service == "s3" else ["x-amz-target"])} <= set(names),
            "signature": fields.get("Signature") == signature(time[:8], service, text),
        }
        wrong = [name for name, right in checks.items() if not right]
        self.server.mistakes += [f"{self.command} {self.path}: {name}" for name in wrong]
        return not wrong
