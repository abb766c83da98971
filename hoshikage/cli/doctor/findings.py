"""What the doctor says, in Japanese and English: every fault and every warning with one command that helps."""

from enum import StrEnum
from typing import NamedTuple


class Mark(StrEnum):
    WELL = "✅"
    BETTER = "⚠️"
    FAULT = "❌"


class Finding(NamedTuple):
    """`key` names its text in TEXTS, `help` the command that helps; nothing helps what is well."""

    mark: Mark
    key: str
    data: dict[str, object]
    help: str = ""

    def text(self, language: str) -> str:
        japanese, english = TEXTS[self.key]
        said = (japanese if language == "ja" else english).format(**self.data)
        return f"{self.mark} {said} → {self.help}" if self.help else f"{self.mark} {said}"


def well(key: str, **data: object) -> Finding:
    return Finding(Mark.WELL, key, data)


def better(key: str, help_: str, **data: object) -> Finding:
    return Finding(Mark.BETTER, key, data, help_)


def fault(key: str, help_: str, **data: object) -> Finding:
    return Finding(Mark.FAULT, key, data, help_)


TEXTS: dict[str, tuple[str, str]] = {
    "versions": ("星影 {version}、Python {python}、{platform}", "hoshikage {version}, Python {python}, {platform}"),
    "packages": ("パッケージ: {packages}", "Packages: {packages}"),
    "package_missing": ("{package} が入っていません。", "{package} is not installed."),
    "gpu": ("GPU {gpu}、llama.cpp のバックエンド {backend}", "GPU {gpu}; llama.cpp backend {backend}"),
    "gpu_none": ("GPU はありません（llama.cpp のバックエンド {backend}）", "No GPU; llama.cpp backend {backend}"),
    "gpu_unused": (
        "GPU {gpu} がありますが、llama.cpp は GPU なしでビルドされています。",
        "There is a GPU ({gpu}), but llama.cpp was built without it.",
    ),
    "ramdisk": ("RAM ディスク: {state}: {reason}", "RAM disk: {state}: {reason}"),
    "sudo": (
        "sudo はパスワードなしで RAM ディスクをマウントできます。",
        "sudo mounts the RAM disk without a password.",
    ),
    "sudo_unneeded": ("RAM ディスクに sudo は要りません。", "The RAM disk needs no sudo."),
    "sudo_refused": (
        "sudo はパスワードなしで RAM ディスクをマウントできません（sudoers の行は README にあります）。",
        "sudo does not mount the RAM disk without a password (the lines for sudoers are in the README).",
    ),
    "home": ("ホーム {home}（書き込み可、空き {free}）", "Home {home} (writable, {free} free)"),
    "home_full": ("ホーム {home} の空きが {free} しかありません。", "The home {home} has only {free} free."),
    "home_unwritable": ("ホーム {home} に書き込めません（{reason}）。", "The home {home} cannot be written: {reason}."),
    "registry": ("モデル {count} 個: {map}", "{count} models in {map}"),
    "registry_broken": ("{reason}", "{reason}"),
    "model_missing": ("モデル '{name}' のファイルがありません: {path}", "Model '{name}': no such file: {path}"),
    "model_unreadable": ("モデル '{name}' のファイルが読めません: {path}", "Model '{name}' cannot be read: {path}"),
    "folder": ("MODEL_PATHS: {path}", "MODEL_PATHS: {path}"),
    "folder_missing": ("MODEL_PATHS のフォルダーがありません: {path}", "MODEL_PATHS names no folder: {path}"),
    "folder_unreadable": ("フォルダーが読めません: {path}", "The folder cannot be read: {path}"),
    "store": ("{kind} のモデルの場所: {path}", "Models of {kind}: {path}"),
    "server": ("サーバーが動いています: プロセス {pid}、{addresses}", "A server runs as process {pid} on {addresses}"),
    "server_none": ("サーバーは動いていません。", "No server is running."),
    "server_older": (
        "動いているサーバーのバージョンは {running}、入っているのは {installed} です。再起動してください。",
        "The running server is version {running}, {installed} is installed: restart it.",
    ),
    "server_closed": (
        "動いているサーバーの状態が分かりません（{reason}）。",
        "The running server does not tell its state: {reason}.",
    ),
    "port_free": ("{address} は空いています。", "{address} is free."),
    "port_ours": ("{address} は動いている星影のものです。", "{address} is the running server's."),
    "port_busy": ("{address} は {who} が使用中です。", "{address} is taken by {who}."),
    "port_unusable": ("{address} では待ち受けられません（{reason}）。", "{address} cannot be listened on: {reason}."),
    "keys": ("API キーは {count} 個で、すべての要求に必要です。", "{count} API keys; every request needs one."),
    "keys_unneeded": (
        "API キーは要りません（{host} はこのパソコンだけ）。",
        "No API key is needed: {host} is this machine only.",
    ),
    "keys_missing": (
        "{host} はほかのパソコンから使えますが、API キーがありません。",
        "Other machines reach {host}, and there is no API key.",
    ),
    "keys_none_left": (
        "API キーがすべて無効になり、誰も使えません。",
        "All API keys are revoked: nobody gets in.",
    ),
    "keys_broken": ("{reason}", "{reason}"),
    "settings": ("設定はすべて有効です。", "All settings have an effect."),
    "ineffective": (
        "このバージョンではまだ効果のない変数: {names}",
        "Variables without effect in this version: {names}",
    ),
}
