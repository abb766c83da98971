"""The settings of how a chat is rendered, and what is answered where a model cannot do what is asked."""

from dataclasses import dataclass

from hoshikage.parsing import boolean
from hoshikage.variables import setting


@dataclass(frozen=True, kw_only=True)
class ChatSettings:
    """Those of templates, tools and thinking."""

    go_template: bool = setting(
        "GO_TEMPLATE OLLAMA_GO_TEMPLATE",
        boolean,
        "true",
        "a model's Go TEMPLATE counts before the Jinja template of its file",
        "モデルの Go テンプレート（TEMPLATE）をファイルの Jinja より優先する",
    )
    strict: bool = setting(
        "OLLAMA_STRICT",
        boolean,
        "false",
        "Ollama's errors where hoshikage would leave out what a model cannot do and say so in a header",
        "モデルにできないことを求められたとき、省いてヘッダーで知らせる代わりに Ollama と同じエラーを返す",
    )
    tools_generic: bool = setting(
        "TOOLS_GENERIC",
        boolean,
        "false",
        "tools are described in the system message to models whose template has no tools",
        "テンプレートにツールのないモデルには、ツールの説明をシステムメッセージに入れる",
    )
