"""Settings: defaults < .env < environment < flags. One field a setting; knows no HTTP and no model.

The `.env` read is the one in the home, which may be the current folder. A relative path in it is relative to its
folder, one in the environment or in a flag to the current folder, a default to the home.
"""

import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from hoshikage.chat_settings import ChatSettings
from hoshikage.errors import SettingsError
from hoshikage.load_settings import LoadSettings, check
from hoshikage.parsing import (
    Network,
    address,
    boolean,
    gigabytes,
    home_of,
    integer,
    language_of,
    networks,
    number,
    origins,
    path,
    path_or_none,
    path_or_off,
    paths,
    port_or_off,
    seconds,
    secret_hashes,
    text,
)
from hoshikage.variables import Variable, setting

FOREIGN = (
    "OLLAMA_NOPRUNE OLLAMA_NO_CLOUD"
    " OLLAMA_REMOTES OLLAMA_DEBUG_LOG_REQUESTS OLLAMA_SCHED_SPREAD OLLAMA_GPU_OVERHEAD OLLAMA_LLM_LIBRARY"
    " OLLAMA_IGPU_ENABLE OLLAMA_VULKAN OLLAMA_MAX_TRANSFER_STREAMS OLLAMA_NOHISTORY OLLAMA_EDITOR OLLAMA_AUTH"
).split()
"""Ollama's variables that have no effect in this version."""


def limit_seconds(raw: str, folder: Path) -> float:
    """As `seconds`; 0 is no limit either."""
    return seconds(raw, folder) or math.inf


@dataclass(frozen=True, kw_only=True)
class Settings(ChatSettings, LoadSettings):
    """Every setting, read and checked. Units are in the names."""

    home: Path
    host: str = "127.0.0.1"
    port: int = 11434
    language: str = "ja"
    ineffective: tuple[str, ...] = ()

    legacy_port: int | None = setting(
        "LEGACY_PORT", port_or_off, "8000", "second port on the same host, or off", "二つ目のポート（off で無効）"
    )
    model_map_file: Path = setting(
        "MODEL_MAP_FILE", path, "./models/model_map.json", "the models: the single truth", "モデルの登録簿"
    )
    tag_cache_file: Path = setting(
        "TAG_CACHE_FILE", path, "./models/tags_cache.json", "its projection in OpenAI's shape", "OpenAI 形式の一覧"
    )
    tag_ollama_file: Path = setting(
        "TAG_OLLAMA_FILE", path, "./models/tags_ollama.json", "its projection in Ollama's shape", "Ollama 形式の一覧"
    )
    model_paths: tuple[Path, ...] = setting(
        "MODEL_PATHS",
        paths,
        "",
        "folders of GGUF files for `hoshikage import`, separated by `:` (on Windows `;`) or commas",
        "`hoshikage import` で探すフォルダー（: かカンマ区切り）",
    )
    ollama_models: Path | None = setting(
        "OLLAMA_MODELS",
        path_or_none,
        "",
        "Ollama's own store for `hoshikage import`, only read; empty = the usual places",
        "`hoshikage import` で読む Ollama のモデルの場所（書き込みません。空なら通常の場所）",
    )
    idle_timeout_seconds: float = setting(
        "IDLE_TIMEOUT_SECONDS OLLAMA_KEEP_ALIVE",
        seconds,
        "300",
        "seconds (or 5m, 1h) an idle model stays loaded; negative = for ever, 0 = not at all",
        "使われないモデルをメモリに残す秒数（負の値はずっと、0 はすぐに解放）",
    )
    n_ctx: int = setting(
        "N_CTX OLLAMA_CONTEXT_LENGTH",
        integer(0, 2**24),
        "0",
        "most tokens of KV cache, all conversations of a model together; 0 = what KV_MEMORY_GB holds",
        "KV キャッシュの上限（1 モデルの全会話の合計トークン数）。0 は KV_MEMORY_GB に入るだけ",
    )
    kv_memory_gb: float | None = setting(
        "KV_MEMORY_GB",
        gigabytes(2**16),
        "auto",
        "most memory for the KV cache of a model in GB; auto = a quarter of what is free when it is loaded",
        "1 モデルの KV キャッシュに使うメモリの上限（GB）。auto はロード時の空きメモリの 4 分の 1",
    )
    kv_cache_gb: float | None = setting(
        "KV_CACHE_GB",
        gigabytes(2**16),
        "auto",
        "KV snapshots on the RAM disk in GB; 0 = none, auto = a quarter of RAMDISK_SIZE, at most a tenth of the memory",
        "RAM ディスクに置く会話の状態（KV）の上限（GB）。auto は RAMDISK_SIZE の 4 分の 1（メモリの 1 割まで）",
    )
    kv_disk_gb: float = setting(
        "KV_DISK_GB",
        number(0, 2**16),
        "4",
        "KV snapshots kept in the home while no server runs, in GB; 0 = none",
        "停止中もホームフォルダーに残す会話の状態（KV）の上限（GB）。0 は残さない",
    )
    step_budget_ms: int = setting(
        "STEP_BUDGET_MS",
        integer(10, 60_000),
        "300",
        "milliseconds a running answer may pause while another prompt is evaluated",
        "他のプロンプトの処理中に、生成中の応答が待つ時間の目安（ミリ秒）",
    )
    speculation: bool = setting(
        "SPECULATION",
        boolean,
        "true",
        "guess repeated text ahead and verify it in one step",
        "繰り返しの文を先読みして一度に検証する",
    )
    draft_model: str = setting(
        "DRAFT_MODEL",
        text,
        "off",
        "name of a small model that guesses ahead for larger ones with the same vocabulary, or off",
        "同じ語彙を持つ大きなモデルのために先読みする小さなモデルの名前（off で無効）",
    )
    num_parallel: int = setting(
        "NUM_PARALLEL OLLAMA_NUM_PARALLEL",
        integer(1, 64),
        "8",
        "most sequences that are generated at the same time, a model",
        "モデルごとに同時に生成する会話の数",
    )
    max_loaded_models: int = setting(
        "MAX_LOADED_MODELS OLLAMA_MAX_LOADED_MODELS",
        integer(1, 64, zero=3),
        "3",
        "most models loaded at the same time; 0 = 3",
        "同時にメモリに載せるモデルの数",
    )
    max_queue: int = setting(
        "MAX_QUEUE OLLAMA_MAX_QUEUE",
        integer(1, 2**20),
        "512",
        "requests that may wait; more get 503",
        "待ち行列の長さ。超えると 503 を返す",
    )
    key_max_queue: int = setting(
        "KEY_MAX_QUEUE",
        integer(0, 2**20),
        "0",
        "requests of one API key that may wait; more get 429; 0 = half of MAX_QUEUE",
        "1 つの API キーの待ち行列の長さ。超えると 429 を返す。0 は MAX_QUEUE の半分",
    )
    stop_timeout_seconds: float = setting(
        "STOP_TIMEOUT",
        number(0, 86_400),
        "30",
        "seconds that running answers may go on after the signal to stop; 0 = none",
        "停止のとき、途中の回答を待つ秒数。0 は待たない",
    )
    load_timeout_seconds: float = setting(
        "LOAD_TIMEOUT OLLAMA_LOAD_TIMEOUT",
        limit_seconds,
        "300",
        "seconds (or 5m) a load may take; 0 or negative = any",
        "モデルのロードの制限時間（秒）。0 以下は無制限",
    )
    origins: tuple[str, ...] = setting(
        "OLLAMA_ORIGINS",
        origins,
        "",
        "further web origins that may ask, with commas; * = all",
        "アクセスを許す Web オリジン（カンマ区切り）",
    )
    api_keys: tuple[str, ...] = setting(
        "HOSHIKAGE_API_KEYS",
        secret_hashes,
        "",
        "API keys that may do everything, with commas; long random ones (`openssl rand -hex 32`)",
        "すべてを許す API キー（カンマ区切り）。`openssl rand -hex 32` などの長い乱数にしてください",
    )
    trusted_proxies: tuple[Network, ...] = setting(
        "TRUSTED_PROXIES",
        networks,
        "",
        "addresses and networks, with commas, whose X-Hoshikage-User or X-OpenWebUI-User-Id names the user who asks",
        "利用者名のヘッダー（X-Hoshikage-User、X-OpenWebUI-User-Id）を信用する接続元（カンマ区切り）",
    )
    max_body_mb: int = setting(
        "MAX_BODY_MB", integer(1, 2**20), "256", "largest request body in MiB", "リクエスト本文の上限（MiB）"
    )
    max_bodies_mb: int = setting(
        "MAX_BODIES_MB",
        integer(1, 2**20),
        "512",
        "most MiB of request bodies that are held at once; more get 503",
        "同時に保持するリクエスト本文の合計の上限（MiB）。超えると 503 を返す",
    )
    debug: bool = setting("HOSHIKAGE_DEBUG OLLAMA_DEBUG", boolean, "false", "log more", "詳しいログを出す")
    ramdisk_path: Path | None = setting(
        "RAMDISK_PATH",
        path_or_off,
        "/mnt/temp/hoshikage",
        "the RAM disk (tmpfs), mounted if that is allowed; else /dev/shm is used; off = none",
        "RAM ディスクの場所。できればマウントし、できなければ /dev/shm を使う（off で無効）",
    )
    ramdisk_size_gb: float = setting(
        "RAMDISK_SIZE",
        number(0, 2**16),
        "12",
        "most that models and KV snapshots take of the RAM disk in GB, at most half the memory; 0 = no RAM disk",
        "RAM ディスクに置くモデルと会話の状態の上限（GB、メモリの半分まで）。0 は RAM ディスクなし",
    )
    great_timeout_minutes: float = setting(
        "GREAT_TIMEOUT",
        number(0, 2**20),
        "60",
        "minutes without a loaded model after which the RAM disk is emptied and unmounted",
        "モデルが一つも載っていない状態が何分続いたら RAM ディスクを空にしてアンマウントするか",
    )
    chroma_path: Path = setting(
        "CHROMA_PATH",
        path,
        "./data/hoshikage_chroma_db",
        "where the conversation memory lies",
        "会話の記憶の場所",
        effective=False,
    )
    sentence_bert_model: str = setting(
        "SENTENCE_BERT_MODEL",
        text,
        "cl-nagoya/ruri-small-v2",
        "embedding model of the conversation memory",
        "会話の記憶に使う埋め込みモデル",
        effective=False,
    )

    @classmethod
    def load(cls, *, environ: Mapping[str, str], cwd: Path, flags: Mapping[str, str] | None = None) -> "Settings":
        """Read all settings. Raises SettingsError naming the variable, its value and what is allowed."""
        given, outside = cleaned(flags or {}), cleaned(environ)
        home = home_of(given.get("home") or given.get("HOSHIKAGE_HOME"), outside, cwd)
        named = {name: value for name, value in given.items() if name.isupper()}
        layers = [(cwd, named), (cwd, outside), (home, env_file(home / ".env"))]
        host, port = address(given, layers)
        values: dict[str, Any] = {each.name: value_of(each, layers, home) for each in variables()}
        language = language_of([layer for _, layer in layers])
        found = cls(home=home, host=host, port=port, language=language, ineffective=without_effect(layers), **values)
        check(found)
        return found


Layers = list[tuple[Path, dict[str, str]]]


def variables() -> "list[Field[Any]]":
    """The fields that are read from variables: the server's, those of chats, those of a load."""
    places = {each.name: at for at, part in enumerate((ChatSettings, LoadSettings), 1) for each in fields(part)}
    found = [each for each in fields(Settings) if "variable" in each.metadata]
    return sorted(found, key=lambda each: places.get(each.name, 0))


def variable(each: "Field[Any]") -> Variable:
    found = each.metadata["variable"]
    assert isinstance(found, Variable)  # noqa: S101
    return found


def value_of(each: "Field[Any]", layers: Layers, home: Path) -> object:
    """The first layer that sets one of the names counts; inside a layer, the first name."""
    described = variable(each)
    for folder, layer in layers:
        for name in described.names:
            if raw := layer.get(name):
                return read(described, name, raw, folder)
    return read(described, described.names[0], described.shown, home)


def read(described: Variable, name: str, raw: str, folder: Path) -> object:
    try:
        return described.read(raw, folder)
    except ValueError as error:
        raise SettingsError(variable=name, value=raw, allowed=str(error)) from error


def cleaned(given: Mapping[str, str | None]) -> dict[str, str]:
    """Values without outer spaces and quotes, as Ollama takes them; an empty one counts as not set."""
    trimmed = {name: (value or "").strip().strip("\"'").strip() for name, value in given.items()}
    return {name: value for name, value in trimmed.items() if value}


def env_file(file: Path) -> dict[str, str]:
    try:
        return cleaned(dotenv_values(file, interpolate=False))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(variable=".env", value=str(file), allowed="a readable file in UTF-8 is allowed") from error


def without_effect(layers: Layers) -> tuple[str, ...]:
    """The known variables that are set and do nothing in this version."""
    idle = [name for each in variables() if not variable(each).effective for name in variable(each).names]
    return tuple(name for name in [*idle, *FOREIGN] if any(layer.get(name) for _, layer in layers))


def example() -> str:
    """The text of .env.example."""
    blocks = [EXAMPLE_HEAD]
    for each in variables():
        v = variable(each)
        aliases = f" (also {', '.join(v.names[1:])})" if v.names[1:] else ""
        later = " No effect in this version." if not v.effective else ""
        blocks.append(f"# {v.why}{aliases}.{later}\n# {v.ja}\n# {v.names[0]}={v.shown}\n")
    return "\n".join(blocks)


EXAMPLE_HEAD = """\
# Settings of hoshikage. Copy to `.env` in the home folder and take away the `#` before what you change.
# 星影の設定。ホームフォルダーの `.env` にコピーし、変えるものだけ行頭の `#` を外します。

# folder of settings and data; only in the environment or as --home.
# 設定とデータのフォルダー（環境変数か --home だけ）
# HOSHIKAGE_HOME=~/.hoshikage

# address: [scheme://]host[:port]; --host and --port win.
# 待ち受けるアドレス
# OLLAMA_HOST=127.0.0.1:11434

# language of the command line: ja or en; else by LC_ALL, LC_MESSAGES, LANG.
# 端末の表示の言語
# HOSHIKAGE_LANG=ja
"""
