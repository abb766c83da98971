"""What the command line says, in Japanese and English. The Japanese of add, list and remove is the manual's."""

import sys

from hoshikage.errors import BadName, HoshikageError

TEXTS: dict[str, tuple[str, str]] = {
    "added": ("✅ モデル '{name}' を追加しました。", "✅ Model '{name}' was added."),
    "removed": ("🗑️ モデル '{name}' を削除しました。", "🗑️ Model '{name}' was removed."),
    "file_stays": ("ファイルは残っています: {path}", "The file stays: {path}"),
    "listed": ("📦 登録済みモデル一覧（{count}件）:", "📦 Registered models ({count}):"),
    "row": (" - {name}: {path} ({megabytes:.2f} MB)", " - {name}: {path} ({megabytes:.2f} MB)"),
    "row_missing": (" - {name}: {path} (ファイルがありません)", " - {name}: {path} (the file is missing)"),
    "serving": ("🌟 星影 {version} を起動しました: {address}", "🌟 hoshikage {version} is serving on {address}"),
    "home": ("設定とデータ: {home}　モデル一覧: {map}", "Home: {home}  Model map: {map}"),
    "busy": (
        "⚠️ {address} は使用中のため、使えません（{reason}）。",
        "⚠️ {address} cannot be used: {reason}.",
    ),
    "no_address": (
        "❌ 使えるアドレスがありません。--port か OLLAMA_HOST で別のポートを指定してください。",
        "❌ No address is left to serve on. Choose another port with --port or OLLAMA_HOST.",
    ),
    "ineffective": (
        "ℹ️ このバージョンではまだ効果のない変数: {names}",
        "ℹ️ Variables without effect in this version: {names}",
    ),
    "gpu_unused": (
        "⚠️ GPU（{gpu}）がありますが、この llama.cpp は GPU なしでビルドされています。"
        "`BACKEND=cuda make engine` で作り直せます。",
        "⚠️ There is a GPU ({gpu}), but this llama.cpp was built without it. Rebuild: `BACKEND=cuda make engine`.",
    ),
    "stopping": (
        "停止します。途中の {count} 件を最大 {seconds} 秒待ちます（もう一度 Ctrl-C を押すとすぐに終わります）。",
        "Stopping: {count} requests may go on for {seconds} s (once more Ctrl-C ends at once).",
    ),
    "stopped": ("星影を停止しました。", "hoshikage has stopped."),
    "run_pulls": ("{message} 取得します。", "{message}; it is pulled"),
    "private": (
        "（サーバーが動いていないため、この間だけ起動します）",
        "(no server is running: one is started for this session)",
    ),
    "bye_hint": ("終了は /bye または Ctrl-D", "Leave with /bye or Ctrl-D"),
    "pulled": ("✅ '{name}' を取得しました: {path}", "✅ '{name}' was pulled: {path}"),
    "cancelled": (
        "中断しました。届いた分は残しています（パッケージからは届き終えた部分だけ）。次の pull は続きから始めます。",
        "Cancelled. What has arrived is kept (from the package index, whole parts); the next pull goes on from there.",
    ),
    "created": ("✅ モデル '{name}' を作成しました。", "✅ Model '{name}' was created."),
    "create_cancelled": ("中断しました。何も登録していません。", "Cancelled. Nothing was registered."),
    "modelfile_warning": ("⚠️ Modelfile: {warning}", "⚠️ Modelfile: {warning}"),
    "import_heading": ("名前|サイズ|量子化|備考", "NAME|SIZE|QUANTIZATION|NOTE"),
    "import_nothing": ("{places} にはモデルがありません。", "There are no models in {places}."),
    "import_no_place": (
        "探す場所がありません。MODEL_PATHS か --root でフォルダーを指定してください。",
        "There is no place to look: name folders in MODEL_PATHS or one with --root.",
    ),
    "import_root": (
        "❌ --root には場所の種類（{kinds}）を一つ指定してください。",
        "❌ --root needs one kind of store: {kinds}.",
    ),
    "import_unknown": ("⚠️ '{name}' は見つかりませんでした。", "⚠️ '{name}' was not found there."),
    "import_again": (
        "✅ モデル '{name}' を登録し直しました（以前のファイルはなくなっています）。",
        "✅ Model '{name}' was registered anew: the file it had is gone.",
    ),
    "import_already": ("ℹ️ モデル '{name}' は登録済みです。", "ℹ️ Model '{name}' is registered already."),
    "import_failed": ("⚠️ '{name}': {reason}", "⚠️ '{name}': {reason}"),
    "import_done": (
        "📦 {found}件を見つけ、{added}件を登録しました（登録済み {already}件、登録できないもの {failed}件）。"
        "ファイルは元の場所のままです。",
        "📦 {found} found, {added} registered, {already} registered already, {failed} not usable."
        " The files stay where they are.",
    ),
    "import_dry": (
        "📦 {found}件を見つけました。--dry-run のため、登録はしていません。",
        "📦 {found} found; with --dry-run nothing is registered.",
    ),
    "no_server": (
        "❌ 星影のサーバーが動いていません。`hoshikage serve` で起動してください。",
        "❌ No hoshikage server is running; start one with `hoshikage serve`.",
    ),
    "no_server_warning": (
        "⚠️ 動いている星影のサーバーに接続できません。",
        "Warning: could not connect to a running hoshikage server",
    ),
    "other_version": (
        "⚠️ 動いているサーバーのバージョンは {version} です。",
        "Warning: server version is {version}",
    ),
    "not_stopped": (
        "⚠️ モデル '{name}' を停止できませんでした。",
        "Warning: unable to stop model '{name}'",
    ),
    "no_key": (
        "❌ {host} はほかのパソコンから使えますが、API キーがありません。`hoshikage key add 名前` で作ってください"
        "（キーなしで起動するには --insecure）。",
        "❌ Other machines reach {host}, and there is no API key. Make one with `hoshikage key add NAME`,"
        " or set HOSHIKAGE_API_KEYS; --insecure serves without.",
    ),
    "insecure": (
        "⚠️ {host} に届く人は誰でも、キーなしで使えます（--insecure）。",
        "⚠️ Whoever reaches {host} may ask without a key (--insecure).",
    ),
    "key_added": (
        "✅ API キー '{name}'（ID {id}、権限 {scopes}）を作りました。キーはここに一度だけ表示します:",
        "✅ API key '{name}' (id {id}, scopes {scopes}) was made. This is the only time it is shown:",
    ),
    "key_revoked": ("🗑️ API キー '{name}'（ID {id}）を無効にしました。", "🗑️ API key '{name}' (id {id}) was revoked."),
    "key_none_left": (
        "⚠️ キーがなくなりました。サーバーは誰も受け付けません。新しいキーを作るか、"
        "`hoshikage key open` でキーなしに戻してください。",
        "⚠️ No key is left, and the server lets nobody in. Make a new one, or run `hoshikage key open` to need none.",
    ),
    "key_open": (
        "🔓 API キーは不要になりました。",
        "🔓 No API key is needed any more.",
    ),
    "key_still": (
        "❌ キーがまだ {count} 個あります。先に `hoshikage key revoke` で無効にしてください。",
        "❌ There are still {count} keys; revoke them first with `hoshikage key revoke`.",
    ),
    "better_name": ("💡 使える名前の例: {name}", "💡 A name that can be used: {name}"),
    "one_of": ("❌ 一度に指定できるのは {flags} のうち一つだけです。", "❌ Only one of {flags} can be given."),
    "flag_ignored": (
        "ℹ️ {flags} は星影では効果がありません。",
        "ℹ️ Without effect in hoshikage: {flags}",
    ),
    "error": ("❌ {message}", "❌ {message}"),
}


def text(language: str, key: str, **data: object) -> str:
    """The message `key` in `language` ("ja", else English)."""
    japanese, english = TEXTS[key]
    return (japanese if language == "ja" else english).format(**data)


def say(language: str, key: str, **data: object) -> None:
    print(text(language, key, **data), flush=True)


def warn(language: str, key: str, **data: object) -> None:
    print(text(language, key, **data), file=sys.stderr, flush=True)


def tell(error: HoshikageError, language: str) -> None:
    """The error in one line, and in a second one a name that could be taken instead."""
    warn(language, "error", message=error.text(language))
    if isinstance(error, BadName):
        from hoshikage.models.names import hint

        if (better := hint(str(error.data["name"]))) is not None:
            warn(language, "better_name", name=better)
