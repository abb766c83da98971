"""The settings of how a model is loaded and computed: batch, threads, GPUs, the types of the KV cache."""

from dataclasses import dataclass

from hoshikage.errors import SettingsError
from hoshikage.kv_types import KV_TYPES
from hoshikage.parsing import boolean, choice, integer, shares, tristate
from hoshikage.variables import setting

SHARES_MOST = 16
"""GPUs that llama.cpp can split a model between."""


@dataclass(frozen=True, kw_only=True)
class LoadSettings:
    """Those of a worker; a request's own load options go before them."""

    n_batch: int = setting("N_BATCH", integer(1, 2**16), "512", "tokens evaluated at once", "1 回に処理するトークン数")
    n_threads: int = setting(
        "N_THREADS",
        integer(0, 1024),
        "0",
        "compute threads; 0 = the physical cores that this process may use (affinity, cgroup)",
        "計算スレッド数。0 はこのプロセスが使える物理コア数（アフィニティと cgroup に従う）",
    )
    n_threads_batch: int = setting(
        "N_THREADS_BATCH",
        integer(0, 1024),
        "0",
        "compute threads for prompts; 0 = as N_THREADS",
        "プロンプト処理のスレッド数。0 は N_THREADS と同じ",
    )
    n_gpu_layers: int = setting(
        "N_GPU_LAYERS", integer(-1, 9999), "-1", "layers on the GPU; -1 = all", "GPU に載せる層の数。-1 はすべて"
    )
    main_gpu: int = setting(
        "MAIN_GPU",
        integer(-1, 1023),
        "-1",
        "number of the one GPU that computes; -1 = all of them",
        "計算に使う GPU の番号（1 枚だけ使う）。-1 はすべての GPU",
    )
    tensor_split: tuple[float, ...] = setting(
        "TENSOR_SPLIT",
        shares(SHARES_MOST),
        "",
        "the GPUs' shares of a model, with commas, as in 3,1; empty = by their free memory",
        "各 GPU に載せる割合（カンマ区切り、例: 3,1）。空なら空きメモリに応じて分ける",
    )
    split_mode: str = setting(
        "SPLIT_MODE",
        choice("layer", "row"),
        "layer",
        "what several GPUs share: whole layers, or the rows of each (`row`)",
        "複数の GPU での分け方。層ごと（layer）か行ごと（row）",
    )
    flash_attention: str = setting(
        "FLASH_ATTENTION OLLAMA_FLASH_ATTENTION",
        tristate,
        "auto",
        "auto = where the machine can, on or off",
        "Flash Attention。auto は使えるところで使う",
    )
    kv_type_k: str = setting(
        "KV_TYPE_K OLLAMA_KV_CACHE_TYPE",
        choice(*KV_TYPES),
        "f16",
        f"type of the keys in the KV cache: {', '.join(KV_TYPES)}; q8_0 takes half the memory of f16",
        "KV キャッシュのキーの型。q8_0 は f16 の約半分のメモリ",
    )
    kv_type_v: str = setting(
        "KV_TYPE_V OLLAMA_KV_CACHE_TYPE",
        choice(*KV_TYPES),
        "f16",
        "type of the values in the KV cache; a quantized one needs flash attention",
        "KV キャッシュの値の型。量子化した型には Flash Attention が必要",
    )
    mlock: bool = setting(
        "MLOCK",
        boolean,
        "false",
        "keep the weights in RAM, where the system allows it (`ulimit -l`)",
        "重みをスワップさせない（`ulimit -l` の範囲で）",
    )
    cpu_repack: str = setting(
        "CPU_REPACK",
        tristate,
        "auto",
        "on = llama.cpp lays Q4 weights out anew, faster, in memory of its own; off = maps the file;"
        " auto = on if the weights fit twice into half of the free RAM",
        "Q4 の重みを速く読める形で別のメモリに置き直すか（on、off）。auto は空きメモリの半分に重みが 2 つ入るときだけ",
    )


def check(found: LoadSettings) -> None:
    """Raises SettingsError for two settings that do not go together, naming both."""
    if KV_TYPES[found.kv_type_v].quantized and found.flash_attention == "off":
        plain = ", ".join(name for name, each in KV_TYPES.items() if not each.quantized)
        allowed = f"with FLASH_ATTENTION=off it must be one of {plain}; set FLASH_ATTENTION=auto for a quantized one"
        raise SettingsError(variable="KV_TYPE_V", value=found.kv_type_v, allowed=allowed)
    if found.tensor_split and found.main_gpu >= 0:
        value = ",".join(f"{share:g}" for share in found.tensor_split)
        allowed = f"MAIN_GPU={found.main_gpu} takes one GPU alone; set MAIN_GPU=-1 or leave TENSOR_SPLIT empty"
        raise SettingsError(variable="TENSOR_SPLIT", value=value, allowed=allowed)
