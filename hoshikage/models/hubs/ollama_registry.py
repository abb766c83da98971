"""The HTTP of Ollama's registry, which is a Docker registry's: manifests, blobs, bearer challenges, redirects.

A session speaks to one host about one repository. It knows no layer and writes no file.
"""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta, Struct

from hoshikage.errors import ManifestMissing, PullError
from hoshikage.models.hubs.network import reason
from hoshikage.models.hubs.pump import Broken, Opened
from hoshikage.models.layers import MANIFEST_BYTES
from hoshikage.models.media_types import MANIFEST_TYPE

if TYPE_CHECKING:
    import httpx2

PREFIX = "pull model manifest: "
DENIED = "unauthorized: access denied"
TOKEN_BYTES = 64 << 10
EXCERPT_CHARACTERS = 200
HOPS = 5
CONNECT_SECONDS = 15.0
DOCUMENT_SECONDS = 60.0
"""The longest that a manifest or a token may take."""
_PARAMETER = re.compile(r'(\w+)\s*=\s*"([^"]*)"')
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:(\d{1,18})|\*)")


class Refused(Exception):
    """The answer is final, and no good."""


class Token(Struct):
    """A token server's answer: under one of two names, and fit for a header."""

    token: Annotated[str, Meta(pattern="^[!-~]*$")] | None = None
    access_token: Annotated[str, Meta(pattern="^[!-~]*$")] | None = None


class Session:
    """`base` is the scheme and the host; a connection without a byte for `stall_seconds` is given up."""

    def __init__(self, base: str, repository: str, stall_seconds: float = 30.0) -> None:
        import httpx2

        self._repository, self._token = repository, ""
        try:
            self._base = httpx2.URL(base)
            self._client = httpx2.Client(
                timeout=httpx2.Timeout(stall_seconds, connect=min(CONNECT_SECONDS, stall_seconds)),
                headers={"User-Agent": f"hoshikage/{version('hoshikage')}", "Accept-Encoding": "identity"},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # cookies would cross ports
            )
        except (httpx2.InvalidURL, ValueError, ImportError) as error:  # the latter two: a proxy that cannot be used
            raise PullError(reason=f"{PREFIX}{error}") from error

    def close(self) -> None:
        self._client.close()

    def manifest(self, tag: str) -> bytes:
        """Raises ManifestMissing and PullError."""
        path = f"/v2/{self._repository}/manifests/{tag}"
        try:
            with self._get(path, {"Accept": MANIFEST_TYPE}, across=False) as response:
                if response.status_code == 404:
                    raise ManifestMissing(name=f"{self._repository}:{tag}")
                if response.status_code == 401:
                    raise Refused(DENIED)
                if response.status_code != 200:
                    raise Refused(f"{response.status_code}: {excerpt(response)}")
                return bounded(response, MANIFEST_BYTES)
        except (Broken, Refused) as error:
            raise PullError(reason=f"{PREFIX}{error}") from error

    @contextmanager
    def blob(self, digest: str, start: int) -> Iterator[Opened]:
        """The blob from byte `start` on. Raises Broken, also while it is read, and PullError for what stays so."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        try:
            with self._get(f"/v2/{self._repository}/blobs/{digest}", headers, across=True) as response:
                yield opened(response)
        except Refused as error:
            raise PullError(reason=f"pulling {digest[7:19]}: {error}") from error

    @contextmanager
    def _get(self, path: str, headers: dict[str, str], *, across: bool) -> Iterator["httpx2.Response"]:
        """What the redirects lead to; to other hosts only if `across`, and without credentials."""
        import httpx2

        try:
            response = self._followed(self._base.join(path), headers, across=across)
            try:
                yield response
            finally:
                response.close()
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Broken(reason(error, self._base.host)) from error

    def _followed(self, url: "httpx2.URL", headers: dict[str, str], *, across: bool) -> "httpx2.Response":
        hops, challenged, ours = 0, False, True
        while True:
            response = self._sent(url, headers, self._token if ours else "")
            if response.status_code == 401 and ours and not challenged:
                response.close()
                self._token, challenged = self._fetched_token(response.headers.get("www-authenticate", "")), True
                continue
            if not response.has_redirect_location:
                return response
            response.close()
            hops += 1
            if hops > HOPS:
                raise Refused(f"more than {HOPS} redirects")
            url = redirected(url, response.headers["location"])
            ours = ours and origin(url) == origin(self._base)  # whoever leads back to us chose the address
            if not (ours or across):
                raise Refused(f"the registry redirects to another host, {url.host}")

    def _sent(self, url: "httpx2.URL", headers: dict[str, str], token: str) -> "httpx2.Response":
        credentials = {"Authorization": f"Bearer {token}"} if token else {}
        request = self._client.build_request("GET", url, headers={**headers, **credentials})
        response = self._client.send(request, stream=True)
        if (encoding := response.headers.get("content-encoding", "identity").lower()) != "identity":
            response.close()
            raise Refused(f"the answer is compressed ({encoding[:20]}), though plain bytes were asked for")
        return response

    def _fetched_token(self, challenge: str) -> str:
        """An anonymous token, asked for at the registry itself and nowhere else. Raises Refused."""
        import httpx2

        scheme, _, rest = challenge.partition(" ")
        asked = dict(_PARAMETER.findall(rest))
        if scheme.lower() != "bearer" or "realm" not in asked:
            raise Refused(DENIED)
        realm = httpx2.URL(asked["realm"])
        if origin(realm) != origin(self._base) or realm.userinfo:
            raise Refused(f"the registry sends us to another host, {realm.host}, for a token, which is refused")
        url = realm.copy_merge_params({key: asked[key] for key in ("service", "scope") if key in asked})
        response = self._sent(url, {}, "")
        try:
            if response.status_code != 200:
                raise Refused(DENIED)
            found = msgspec.json.decode(bounded(response, TOKEN_BYTES), type=Token)
        except msgspec.DecodeError as error:
            raise Refused(f"the token cannot be read: {error}") from error
        finally:
            response.close()
        return found.token or found.access_token or ""


def origin(url: "httpx2.URL") -> tuple[str, str, int | None]:
    """What a token belongs to. httpx2 leaves out default ports."""
    return url.scheme, url.host, url.port


def redirected(url: "httpx2.URL", location: str) -> "httpx2.URL":
    """Where a redirect leads. Raises Refused."""
    target = url.join(location)
    if target.scheme not in {"http", "https"} or target.userinfo:
        raise Refused(f"the redirect to {target.scheme}://{target.host} cannot be followed")
    if url.scheme == "https" and target.scheme == "http":
        raise Refused(f"the redirect from https to http, at {target.host}, is refused")
    return target


def opened(response: "httpx2.Response") -> Opened:
    """The answer to a GET of a blob. Raises Broken for what may pass, else Refused."""
    status = response.status_code
    if status == 429 or status >= 500:
        raise Broken(f"the registry answers {status}")
    if status in {401, 403}:
        raise Refused(DENIED)
    if status == 200:
        length = response.headers.get("content-length", "")
        return Opened(0, int(length) if length.isdecimal() else None, response.iter_raw(), cutter(response))
    found = _RANGE.fullmatch(response.headers.get("content-range", "")) if status == 206 else None
    if not found:
        raise Refused("the registry answers 206 without a range" if status == 206 else f"the registry answers {status}")
    return Opened(int(found[1]), int(found[2]) if found[2] else None, response.iter_raw(), cutter(response))


def cutter(response: "httpx2.Response") -> Callable[[], None]:
    """Ends the connection from any thread: closing it would not wake the one that waits for it."""
    stream = response.extensions.get("network_stream")
    connection = stream.get_extra_info("socket") if stream else None

    def cut() -> None:
        if isinstance(connection, socket.socket):
            with suppress(OSError):  # it has ended
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # not SSLSocket's, which is not for other threads

    return cut


def bounded(response: "httpx2.Response", most: int) -> bytes:
    """The body, as it was sent. Raises Refused if it is longer than `most` bytes or takes too long."""
    data, end = bytearray(), time.monotonic() + DOCUMENT_SECONDS
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > most:
            raise Refused(f"the answer is longer than {most} bytes")
        if time.monotonic() > end:
            raise Refused(f"the answer takes longer than {DOCUMENT_SECONDS:.0f} seconds")
    return bytes(data)


def excerpt(response: "httpx2.Response") -> str:
    """The beginning of an error's body, as one printable line."""
    data, end = bytearray(), time.monotonic() + DOCUMENT_SECONDS
    for chunk in response.iter_raw():
        data += chunk
        if len(data) >= 4 * EXCERPT_CHARACTERS or time.monotonic() > end:
            break
    line = " ".join(data[: 4 * EXCERPT_CHARACTERS].decode(errors="replace").split())
    return "".join(each for each in line if each.isprintable())[:EXCERPT_CHARACTERS]
