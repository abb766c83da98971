"""What went wrong on the way to a server, in words that help who waits for it. Knows httpx2's errors, no protocol."""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies


def reason(error: BaseException, host: str) -> str:
    """One line about an error of httpx2's that came while `host` was spoken to."""
    import httpx2

    return _reason(error, host) + (_proxy() if isinstance(error, httpx2.TransportError) else "")


def _reason(error: BaseException, host: str) -> str:
    import httpx2

    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return f"no address was found for {host}: no network, or no such host"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the TLS certificate of {host} is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"no TLS connection with {host} (a server without TLS needs --insecure): {cause.reason or cause}"
    if isinstance(error, httpx2.ProxyError):
        return f"the proxy does not let us reach {host}: {error}"
    if isinstance(error, httpx2.TimeoutException):
        return f"{host} does not answer"
    if isinstance(error, httpx2.ConnectError):
        return f"{host} cannot be reached: {error}"
    return f"the connection with {host} broke: {error or type(error).__name__}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or error.__context__


def _proxy() -> str:
    """The proxies of the environment, without their passwords."""
    hosts = {urlsplit(url).hostname or "" for scheme, url in getproxies().items() if scheme in {"http", "https", "all"}}
    return f" (the environment names a proxy: {', '.join(sorted(hosts))})" if hosts else ""
