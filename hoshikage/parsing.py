"""Readers of single settings: text -> value, or ValueError saying what is allowed.

A reader takes the text and the folder that a relative path is relative to.
"""

import hashlib
import ipaddress
import math
import os
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dotenv import dotenv_values

from hoshikage.durations import parse_duration
from hoshikage.errors import SettingsError

HOME_MARKS = ("MODEL_MAP_FILE", "RAMDISK_PATH", "CHROMA_PATH")
SCHEME_PORTS = {"http": 80, "https": 443}
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 11434
FALSE = {"0", "f", "false"}
TRUE = {"1", "t", "true"}
ORIGIN_SCHEMES = tuple(
    f"{scheme}://"
    for scheme in (
        "http https app file tauri vscode-webview vscode-file chrome-extension moz-extension safari-web-extension"
    ).split()
)
PORTS = range(65536)
INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
IPV4 = 4
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
YEAR_SECONDS = 365 * 24 * 3600.0
"""No timer is asked for more: a slip of the finger would otherwise be an overflow in the event loop."""


def text(raw: str, _folder: Path) -> str:
    return raw


def path(raw: str, folder: Path) -> Path:
    try:
        return (folder / Path(raw).expanduser()).absolute()
    except RuntimeError as error:
        raise ValueError(f"a path is allowed ({error})") from error


def path_or_none(raw: str, folder: Path) -> Path | None:
    return path(raw, folder) if raw else None


def path_or_off(raw: str, folder: Path) -> Path | None:
    return None if raw.lower() == "off" else path(raw, folder)


def paths(raw: str, folder: Path) -> tuple[Path, ...]:
    """Paths separated by commas or by what separates those of PATH."""
    return tuple(path(each.strip(), folder) for each in raw.replace(os.pathsep, ",").split(",") if each.strip())


def boolean(raw: str, _folder: Path) -> bool:
    """Go's words for false are false; any other text is true, as in Ollama."""
    return raw.lower() not in FALSE


def integer(least: int, most: int, *, zero: int | None = None) -> Callable[[str, Path], int]:
    """A reader of whole numbers from `least` to `most`; 0 means `zero` where that is given."""

    def read(raw: str, _folder: Path) -> int:
        value = int(raw) if INTEGER.fullmatch(raw) else None
        if value == 0 and zero is not None:
            return zero
        if value is None or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most} is allowed")
        return value

    return read


def choice(*allowed: str) -> Callable[[str, Path], str]:
    """A reader of one of these words, in any case."""

    def read(raw: str, _folder: Path) -> str:
        if raw.lower() not in allowed:
            raise ValueError(f"one of {', '.join(allowed)} is allowed")
        return raw.lower()

    return read


def tristate(raw: str, _folder: Path) -> str:
    """ "auto", "on" or "off"; Go's words for true and false are on and off."""
    word = raw.lower()
    if word in {"auto", "on", "off"}:
        return word
    if word in TRUE | FALSE:
        return "on" if word in TRUE else "off"
    raise ValueError("auto, on (1, true) or off (0, false) is allowed")


def shares(most: int) -> Callable[[str, Path], tuple[float, ...]]:
    """A reader of at most so many shares with commas; they need not make 1."""
    read = number(0, 2**20)

    def read_all(raw: str, folder: Path) -> tuple[float, ...]:
        try:
            found = tuple(read(each.strip(), folder) for each in raw.split(",")) if raw else ()
        except ValueError:
            found = (math.nan,)
        if found and not (len(found) <= most and sum(found) > 0):
            raise ValueError(f"up to {most} shares with commas, as in 3,1, are allowed, and not all of them 0")
        return found

    return read_all


def number(least: float, most: float) -> Callable[[str, Path], float]:
    def read(raw: str, _folder: Path) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ValueError(f"a number from {least:g} to {most:g} is allowed")
        return value

    return read


def gigabytes(most: float) -> Callable[[str, Path], float | None]:
    """A reader of a size in GB; None for `auto`."""
    read = number(0, most)

    def read_or_auto(raw: str, folder: Path) -> float | None:
        if raw.lower() == "auto":
            return None
        try:
            return read(raw, folder)
        except ValueError as error:
            raise ValueError(f"auto, or {error}") from error

    return read_or_auto


def seconds(raw: str, _folder: Path) -> float:
    """A plain number of seconds or a Go duration, up to a year; negative is math.inf."""
    try:
        value = float(raw)
    except ValueError:
        value = _duration(raw)
    if math.isnan(value) or value > YEAR_SECONDS:
        raise ValueError("seconds or a duration like 5m or 1h30m are allowed, at most a year (8760h); -1 is for ever")
    return math.inf if value < 0 else value


def _duration(raw: str) -> float:
    try:
        return parse_duration(raw)
    except ValueError:
        return math.nan


def secret_hashes(raw: str, _folder: Path) -> tuple[str, ...]:
    """The sha256 of each secret of a list with commas; the secrets themselves are kept nowhere."""
    given = (each.strip() for each in raw.split(",") if each.strip())
    return tuple(hashlib.sha256(os.fsencode(each)).hexdigest() for each in given)


def networks(raw: str, _folder: Path) -> tuple[Network, ...]:
    """Addresses and networks of a list with commas."""
    try:
        return tuple(ipaddress.ip_network(each.strip()) for each in raw.split(",") if each.strip())
    except ValueError as error:
        raise ValueError(f"addresses and networks like 10.0.0.5 or 10.0.0.0/8 are allowed ({error})") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def port(raw: str, _folder: Path) -> int:
    if not raw.isascii() or not raw.isdigit() or int(raw) not in PORTS:
        raise ValueError("a port from 0 to 65535 is allowed")
    return int(raw)


def port_or_off(raw: str, folder: Path) -> int | None:
    if raw.lower() in {"off", "none"}:
        return None
    try:
        return port(raw, folder)
    except ValueError:
        raise ValueError("a port from 0 to 65535, or off, is allowed") from None


def origins(raw: str, _folder: Path) -> tuple[str, ...]:
    found = tuple(each.strip() for each in raw.split(",") if each.strip())
    for origin in found:
        if origin.count("*") > 1:
            raise ValueError(f"only one * is allowed in {origin}")
        if "*" not in origin and not origin.startswith(ORIGIN_SCHEMES):
            raise ValueError(f"{origin} must contain * or begin with one of {', '.join(ORIGIN_SCHEMES)}")
    return found


def _is_ours(env_file: Path) -> bool:
    """Whether a .env names one of our variables; another project's may be anything."""
    try:
        return any(mark in dotenv_values(env_file, interpolate=False) for mark in HOME_MARKS)
    except (OSError, UnicodeDecodeError):
        return False


def home_of(flag: str | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """--home, HOSHIKAGE_HOME, the current folder if its .env is ours, else ~/.hoshikage."""
    named = flag or environ.get("HOSHIKAGE_HOME", "").strip()
    if named:
        return path(named, cwd)
    if _is_ours(cwd / ".env"):
        return cwd
    return Path(environ.get("HOME") or Path.home()) / ".hoshikage"


def address(flags: Mapping[str, str], layers: Sequence[tuple[Path, Mapping[str, str]]]) -> tuple[str, int]:
    """Host and port: flags over OLLAMA_HOST over the default. Raises SettingsError."""
    raw = next((layer["OLLAMA_HOST"] for _, layer in layers if layer.get("OLLAMA_HOST", "").strip()), "")
    host, number_ = split_host(raw) if raw else (DEFAULT_HOST, DEFAULT_PORT)
    if "port" in flags:
        try:
            number_ = port(flags["port"], Path())
        except ValueError as error:
            raise SettingsError(variable="--port", value=flags["port"], allowed=str(error)) from error
    return flags.get("host", host), number_


def split_host(raw: str) -> tuple[str, int]:
    """`[scheme://]host[:port][/path]`, as Ollama reads it; a bad port is an error here."""
    scheme, mark, rest = raw.strip().strip("\"'").rpartition("://")
    default = SCHEME_PORTS.get(scheme, DEFAULT_PORT) if mark else DEFAULT_PORT
    place = rest.partition("/")[0]
    try:
        if ipaddress.ip_address(place).version != IPV4:
            return place, default
    except ValueError:
        pass
    try:
        split = urllib.parse.urlsplit(f"//{place}")
        return split.hostname or ("0.0.0.0" if place.startswith(":") else DEFAULT_HOST), (  # noqa: S104
            default if split.port is None else split.port
        )
    except ValueError as error:
        raise SettingsError(variable="OLLAMA_HOST", value=raw, allowed="[scheme://]host[:port] is allowed") from error


def language_of(layers: Sequence[Mapping[str, str]]) -> str:
    """ "ja" or "en": HOSHIKAGE_LANG, else the locale; without one, Japanese."""
    for layer in layers:
        if layer.get("HOSHIKAGE_LANG"):
            return "ja" if layer["HOSHIKAGE_LANG"].lower().startswith("ja") else "en"
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        for layer in layers:
            if value := layer.get(name):
                return "ja" if value.startswith(("ja", "C.", "POSIX")) or value == "C" else "en"
    return "ja"
