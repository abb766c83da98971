"""The error tree. It knows neither HTTP nor any dialect; `api/errors.py` maps it to statuses.

HoshikageError
├── SettingsError            a variable has a value that cannot be used
├── RequestError             what was asked cannot be done as asked
│   ├── ContextOverflow      the prompt is longer than the window
│   │   ├── RestTooLong      what must stay of a chat is
│   │   └── InputTooLong     what is to be embedded is, and must not be cut
│   ├── CreateRefused        a model cannot be made as asked
│   ├── ConstraintRefused    a schema or grammar for the answer cannot be used
│   └── Unsupported          this model cannot do that
│       ├── NoThinking       it does not think before it answers
│       └── NoTools          its template knows no tools
├── ModelError               about a model's name or file
│   ├── ModelNotFound        no such name is registered
│   ├── BadName              not a model name
│   ├── BadModelfile         a Modelfile that breaks the grammar
│   ├── BadSource            a name asks for two places to run at
│   ├── CloudDisabled        a name asks for a model that runs elsewhere
│   ├── NameTaken            the name is registered already
│   ├── FileMissing          the file is not there
│   ├── NotGguf              the file is not a GGUF model, or a damaged one
│   ├── RegistryCorrupt      model_map.json and its last good copy cannot be read
│   └── TemplateFailed       the chat template cannot be rendered
├── AccessError              about who asks
│   ├── KeyRefused           no API key, or one that is not known
│   ├── ScopeMissing         the key may not do that
│   ├── QuotaExceeded        the key asks more than its share
│   ├── KeyNotFound          no key has that name or id
│   ├── KeyNameTaken         a key has that name already
│   └── KeysCorrupt          keys.json cannot be read
├── PullError                a model could not be fetched
│   ├── UnknownSource        no hub takes this name
│   ├── ManifestMissing      the Ollama registry has no such model
│   ├── ManifestUnusable     an Ollama manifest, or a digest, makes no model here
│   ├── PipMissing           the package index needs pip
│   ├── NotOnHub             the hub has no such model
│   ├── AccessDenied         the hub wants a token, or its licence accepted
│   ├── NoChoice             the repository has no one file that is meant
│   ├── HubUnreachable       the hub does not answer
│   ├── HubFailed            the hub answers with an error
│   ├── DiskFull             not enough space
│   └── HashMismatch         what arrived is not what was asked for
└── EngineError              about a worker process
    ├── LoadFailed           llama.cpp refused the model
    │   ├── LoadCrashed      the worker ended while it loaded the model
    │   └── CoolingDown      that has happened so often that it is not tried for a while
    ├── QuantizeFailed       llama.cpp could not write the model in a smaller type
    ├── EngineCrashed        the worker ended while it had work
    ├── SequenceFailed       one sequence could not go on
    ├── NotEnoughMemory      it would not fit into the memory, and is not tried
    └── Overloaded           the queue is full
        └── ServerStopping   the server is about to end
"""

from typing import ClassVar


class HoshikageError(Exception):
    """An error with a code for programs, an English and a Japanese text, and the data that both texts name."""

    code: ClassVar[str] = "error"
    en: ClassVar[str] = "{reason}"
    ja: ClassVar[str] = "{reason}"

    def __init__(self, **data: object) -> None:
        self.data = data
        super().__init__(self.en.format(**data))

    def text(self, language: str) -> str:
        """The message in `language` ("ja", else English)."""
        return (self.ja if language == "ja" else self.en).format(**self.data)


class SettingsError(HoshikageError):
    code = "bad_setting"
    en = "{variable}={value!r} cannot be used: {allowed}"
    ja = "{variable}={value!r} は使えません: {allowed}"


class RequestError(HoshikageError):
    code = "bad_request"


class ContextOverflow(RequestError):
    code = "context_length_exceeded"
    en = "the prompt has {tokens} tokens, more than the context length of {limit} tokens; shorten it or raise num_ctx"
    ja = "プロンプト（{tokens} トークン）がコンテキスト長 {limit} を超えています。短くするか num_ctx を上げてください。"


class RestTooLong(ContextOverflow):
    en = (
        "without the oldest {left_out} of its {turns} turns the chat still has {tokens} tokens, more than the context"
        " length of {limit} tokens; shorten it or raise num_ctx"
    )
    ja = (
        "会話（{turns} 件）の古い {left_out} 件を除いても {tokens} トークンあり、"
        "コンテキスト長 {limit} を超えています。"
        "短くするか num_ctx を上げてください。"
    )


class CreateRefused(RequestError):
    code = "cannot_create"


class ConstraintRefused(RequestError):
    code = "invalid_constraint"
    en = "{field} cannot be used: {reason}"
    ja = "{field} は使えません: {reason}"


class InputTooLong(ContextOverflow):
    code = "input_too_long"
    en = "the input length exceeds the context length ({tokens} tokens, {limit} fit)"
    ja = "入力（{tokens} トークン）がコンテキスト長 {limit} を超えています。"


class Unsupported(RequestError):
    code = "unsupported"
    en = '"{model}" does not support {capability}'
    ja = "モデル '{model}' は {capability} に対応していません。"


class NoThinking(Unsupported):
    """`way` is what may help, after a full stop."""

    en = '"{model}" does not support thinking{way}'
    ja = "モデル '{model}' は thinking に対応していません。"


class NoTools(Unsupported):
    """`model` is the full name."""

    en = "{model} does not support tools"
    ja = "モデル '{model}' はツールに対応していません。"


class ModelError(HoshikageError):
    code = "model_error"


class ModelNotFound(ModelError):
    code = "model_not_found"
    en = "model '{name}' not found"
    ja = "モデル '{name}' は登録されていません。`hoshikage list` で確認してください。"


class BadName(ModelError):
    code = "invalid_name"
    en = "'{name}' is not a model name: use letters, digits, '_', '-' and '.', as in 'gemma3:4b'"
    ja = "'{name}' はモデル名に使えません。英数字と _ - . だけを使ってください（例: gemma3:4b）。"


class BadModelfile(ModelError):
    code = "bad_modelfile"
    en = "{reason}"
    ja = "Modelfile に誤りがあります: {reason}"


class BadSource(ModelError):
    code = "bad_source"
    en = 'use either :local or :cloud, not both: "{name}"'
    ja = "'{name}' の末尾は :local か :cloud のどちらか一つにしてください。"


class CloudDisabled(ModelError):
    code = "cloud_disabled"
    en = "ollama cloud is disabled: {what}"
    ja = "クラウドのモデルは使えません（{what}）。"


class NameTaken(ModelError):
    code = "name_taken"
    en = "the name '{name}' is taken by {path}; choose another, or run `hoshikage remove {name}` first"
    ja = "'{name}' は {path} が使用中です。別の名前にするか、先に `hoshikage remove {name}` を実行してください。"


class FileMissing(ModelError):
    code = "file_missing"
    en = "no such file: {path}"
    ja = "ファイルが見つかりません: {path}"


class NotGguf(ModelError):
    code = "not_gguf"
    en = "{path} is not a usable GGUF file: {reason}"
    ja = "{path} は使える GGUF ファイルではありません: {reason}"


class RegistryCorrupt(ModelError):
    code = "registry_corrupt"
    en = "{path} cannot be read ({reason}), nor can its last good copy; repair or delete it"
    ja = "{path} が読めません（{reason}）。控えも使えません。修復するか削除してください。"


class TemplateFailed(ModelError):
    code = "template_failed"
    en = "template error: {reason}"
    ja = "テンプレートのエラー: {reason}"


class AccessError(HoshikageError):
    code = "access_error"


class KeyRefused(AccessError):
    code = "invalid_api_key"
    en = (
        "the API key is missing or not known here: send it as `Authorization: Bearer KEY`, `x-api-key` or `api-key`;"
        " commands take it from HOSHIKAGE_API_KEY"
    )
    ja = "API キーがないか、登録されていません。環境変数 HOSHIKAGE_API_KEY にキーを入れてください。"


class ScopeMissing(AccessError):
    code = "missing_scope"
    en = "this API key lacks the scope: {scope}"
    ja = "この API キーには権限（{scope}）がありません。"


class QuotaExceeded(AccessError):
    """`retry_after` in seconds."""

    code = "rate_limit_exceeded"
    en = "too many requests with this API key: {limit}; try again in {retry_after} s"
    ja = "この API キーの上限を超えました（{limit}）。{retry_after} 秒後に再試行してください。"


class KeyNotFound(AccessError):
    code = "key_not_found"
    en = "no API key has the name or id '{name}'; see `hoshikage key list`"
    ja = "名前か ID が '{name}' の API キーはありません。`hoshikage key list` で確認してください。"


class KeyNameTaken(AccessError):
    code = "key_name_taken"
    en = "an API key has the name '{name}' already; choose another, or run `hoshikage key revoke {name}` first"
    ja = "API キーの名前 '{name}' は使用中です。別の名前にするか、`hoshikage key revoke {name}` で無効にしてください。"


class KeysCorrupt(AccessError):
    code = "keys_corrupt"
    en = "{path} cannot be read ({reason}); repair it, or delete it and make new keys"
    ja = "{path} が読めません（{reason}）。修復するか、削除してキーを作り直してください。"


class PullError(HoshikageError):
    code = "pull_failed"


class UnknownSource(PullError):
    code = "unknown_source"
    en = "'{name}' names no source that can be pulled from: {known}"
    ja = "'{name}' の取得元が分かりません。使えるもの: {known}"


class ManifestMissing(PullError):
    code = "manifest_missing"
    en = "pull model manifest: file does not exist"
    ja = "レジストリに '{name}' というモデルはありません。名前とタグを確認してください。"


class ManifestUnusable(PullError):
    code = "manifest_unusable"


class PipMissing(PullError):
    code = "pip_missing"
    en = "pip is missing in this Python; install it with `{python} -m ensurepip --upgrade`"
    ja = "この Python に pip がありません。`{python} -m ensurepip --upgrade` で入れてください。"


class NotOnHub(PullError):
    """`way` is what may help."""

    code = "not_on_hub"
    en = "{hub} has no {name}; {way}"
    ja = "{hub} に {name} はありません。（{way}）"


class AccessDenied(PullError):
    code = "access_denied"
    en = "{hub} does not give {name} to you: {reason}; accept its licence at {page} and set HF_TOKEN to your token"
    ja = "{hub} が {name} を許可しません: {reason}。{page} でライセンスに同意し、HF_TOKEN を設定してください。"


class NoChoice(PullError):
    code = "no_choice"
    en = "{repo}: {reason}"
    ja = "{repo} から選べるファイルがありません: {reason}"


class HubUnreachable(PullError):
    code = "hub_unreachable"
    en = "{hub} cannot be reached: {reason}; {way}"
    ja = "{hub} に接続できません: {reason}（{way}）"


class HubFailed(PullError):
    code = "hub_failed"
    en = "{hub} failed: {reason}; what has arrived is kept, try again later"
    ja = "{hub} のエラー: {reason}。届いた分は残しています。しばらくして再試行してください。"


class DiskFull(PullError):
    code = "disk_full"
    en = "{folder} has {free} bytes free, {needed} are needed"
    ja = "{folder} の空きは {free} バイトですが、{needed} バイト必要です。"


class HashMismatch(PullError):
    code = "hash_mismatch"
    en = "{name} arrived damaged: sha256 is {actual}, expected {expected}; it was not kept"
    ja = "{name} の内容が一致しません: sha256 は {actual}、期待値は {expected}。これは残していません。"


class EngineError(HoshikageError):
    code = "engine_error"


class LoadFailed(EngineError):
    code = "load_failed"
    en = "the model could not be loaded: {reason}"
    ja = "モデルのロードに失敗しました: {reason}"


class LoadCrashed(LoadFailed):
    pass


class CoolingDown(LoadFailed):
    """`retry_after` seconds are left, a whole number."""

    code = "cooling_down"
    en = (
        "the model could not be loaded: its worker has crashed {crashes} times while loading, at last: {reason};"
        " it is tried again in {retry_after} seconds, or at once when its file has changed"
    )
    ja = (
        "モデルのロード中に推論プロセスが {crashes} 回異常終了しました（最後の原因: {reason}）。"
        "{retry_after} 秒後に再び試せます。ファイルを取り直した場合はすぐに試せます。"
    )


class QuantizeFailed(EngineError):
    code = "quantize_failed"
    en = "the model could not be quantized: {reason}"
    ja = "量子化に失敗しました: {reason}"


class EngineCrashed(EngineError):
    code = "engine_crashed"
    en = "the model runner has unexpectedly stopped ({reason}); the next request starts a new one"
    ja = "推論プロセスが予期せず終了しました（{reason}）。次のリクエストで新しく起動します。"


class SequenceFailed(EngineError):
    code = "sequence_failed"
    en = "the sequence could not go on: {reason}"
    ja = "生成を続けられません: {reason}"


class NotEnoughMemory(EngineError):
    """`what` asks for `needed` bytes of a `kind` of memory, system or GPU; at most `free` could be had."""

    code = "not_enough_memory"
    en = (
        "{what} requires more {kind} memory ({needed_gib:.1f} GiB) than is available ({free_gib:.1f} GiB):"
        " {needed} bytes are needed, {free} are free"
    )
    ja = (
        "メモリが足りません（{what}、{kind}）: {needed_gib:.1f} GiB（{needed} バイト）必要ですが、"
        "空きは {free_gib:.1f} GiB（{free} バイト）です。"
    )

    def __init__(self, *, what: str, needed: int, free: int, kind: str = "system") -> None:
        super().__init__(
            what=what, needed=needed, free=free, kind=kind, needed_gib=needed / 2**30, free_gib=free / 2**30
        )


class Overloaded(EngineError):
    """`retry_after` in seconds, where it is known."""

    code = "overloaded"
    en = "server busy, please try again.  maximum pending requests exceeded"
    ja = "サーバーが混み合っています。しばらくして再試行してください。"


class ServerStopping(Overloaded):
    code = "stopping"
    en = "the server is stopping, please try again when it is back"
    ja = "サーバーを停止しています。再開してから、もう一度試してください。"
