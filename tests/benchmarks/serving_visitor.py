"""Who sends requests to `rsvlm serve` as a program of its own making would, not as Gradio's client does."""

import http.client
import json
from pathlib import Path
from urllib.parse import urlencode

from serving_mutations import API, Sent

TIMEOUT_S = 120
# how much of a stream without an end is looked at
LOOKED_AT = 200_000
ENDLESS = f"{API}/heartbeat"


class Visitor:
    """One visitor of the page, logged in where there is a login, whose cookies are kept."""

    def __init__(self, port: int, login: str = ""):
        self._port, self._cookies = port, dict[str, str]()
        self.get("/")
        if login:
            form = urlencode(dict(zip(("username", "password"), login.split(":"), strict=True)))
            kind = {"content-type": "application/x-www-form-urlencoded"}
            status, _ = self.send(Sent("POST", "/login", kind, form.encode()))
            assert status == 200, f"the login was answered with {status}"

    def get(self, path: str) -> tuple[int, bytes]:
        """What is answered to a plain request."""
        return self.send(Sent("GET", path))

    def upload(self, content: bytes, name: str = "a.png") -> str:
        """The path of an upload on the server."""
        head = f'--cut\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        kind = {"content-type": "multipart/form-data; boundary=cut"}
        form = head.encode() + content + b"\r\n--cut--\r\n"
        status, body = self.send(Sent("POST", f"{API}/upload", kind, form))
        assert status == 200, body
        return str(json.loads(body)[0])

    def call(self, data: list[object], timeout_s: float = TIMEOUT_S) -> tuple[int, bytes]:
        """What is answered to a question through /call/ask: a refusal, or the stream of the answer."""
        body = json.dumps({"data": data}).encode()
        status, answer = self.send(Sent("POST", f"{API}/call/ask", {"content-type": "application/json"}, body))
        if status != 200:
            return status, answer
        return self.send(Sent("GET", f"{API}/call/ask/{json.loads(answer)['event_id']}"), timeout_s)

    def send(self, sent: Sent, timeout_s: float = TIMEOUT_S) -> tuple[int, bytes]:
        """Status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout_s)
        headers = {"cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()), **sent.headers}
        try:
            # a path is sent as it is, however it looks
            connection.putrequest(sent.method, sent.path, skip_host="host" in headers, skip_accept_encoding=True)
            for name, value in {**headers, "content-length": str(len(sent.body))}.items():
                connection.putheader(name, value)
            connection.endheaders(sent.body)
            response = connection.getresponse()
            self._keep_cookies(response)
            # a heartbeat never ends: its first beat is enough
            return response.status, response.read1() if sent.path.startswith(ENDLESS) else response.read(LOOKED_AT)
        finally:
            connection.close()

    def _keep_cookies(self, response: http.client.HTTPResponse) -> None:
        for cookie in response.headers.get_all("set-cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies.setdefault(name, value)


def picture_in(folder: Path) -> bytes:
    """A small image."""
    from PIL import Image

    Image.linear_gradient("L").resize((60, 48)).convert("RGB").save(folder / "harbor.png")
    return (folder / "harbor.png").read_bytes()
