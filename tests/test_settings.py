"""Settings: layers, homes, aliases, and errors that name the way out."""

import math
from pathlib import Path

import pytest

from hoshikage.errors import SettingsError
from hoshikage.parsing import split_host
from hoshikage.settings import Settings, example


def load(tmp_path: Path, **environ: str) -> Settings:
    return Settings.load(environ={"HOSHIKAGE_HOME": str(tmp_path), **environ}, cwd=tmp_path)


def test_the_manuals_defaults(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.ramdisk_path == Path("/mnt/temp/hoshikage")
    assert (found.ramdisk_size_gb, found.idle_timeout_seconds, found.great_timeout_minutes) == (12, 300, 60)
    assert found.model_map_file == tmp_path / "models/model_map.json"
    assert found.chroma_path == tmp_path / "data/hoshikage_chroma_db"
    assert (found.n_batch, found.n_gpu_layers, found.legacy_port) == (512, -1, 8000)
    assert (found.host, found.port, found.sentence_bert_model) == ("127.0.0.1", 11434, "cl-nagoya/ruri-small-v2")


def test_the_environment_wins_over_env_file_and_flags_over_both(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("N_CTX=1024\nN_BATCH=64\nOLLAMA_HOST=:9000\n")
    environ = {"HOSHIKAGE_HOME": str(tmp_path), "N_CTX": "2048"}
    found = Settings.load(environ=environ, cwd=tmp_path, flags={"port": "9001"})
    assert (found.n_ctx, found.n_batch, found.port, found.host) == (2048, 64, 9001, "0.0.0.0")


def test_our_own_name_wins_over_ollamas(tmp_path: Path) -> None:
    assert load(tmp_path, IDLE_TIMEOUT_SECONDS="10", OLLAMA_KEEP_ALIVE="1h").idle_timeout_seconds == 10
    assert load(tmp_path, OLLAMA_KEEP_ALIVE="1h").idle_timeout_seconds == 3600
    assert load(tmp_path, OLLAMA_KEEP_ALIVE="-1").idle_timeout_seconds == math.inf
    assert load(tmp_path, OLLAMA_KEEP_ALIVE="8760h").idle_timeout_seconds == 365 * 24 * 3600


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("N_CTX", "many", "a whole number from 0"),
        ("N_BATCH", "0", "from 1"),
        ("IDLE_TIMEOUT_SECONDS", "5 parsecs", "5m or 1h30m"),
        ("IDLE_TIMEOUT_SECONDS", "1e300", "at most a year"),
        ("IDLE_TIMEOUT_SECONDS", "inf", "at most a year"),
        ("OLLAMA_KEEP_ALIVE", "8761h", "-1 is for ever"),
        ("LOAD_TIMEOUT", "31536001", "at most a year"),
        ("LEGACY_PORT", "70000", "or off"),
        ("OLLAMA_ORIGINS", "evil", "must contain"),
        ("OLLAMA_HOST", "localhost:http", "host"),
    ],
)
def test_a_bad_value_names_the_variable_the_value_and_what_is_allowed(
    tmp_path: Path, name: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **{name: value})
    assert name in str(caught.value)
    assert value in str(caught.value)
    assert allowed in str(caught.value)


def test_a_folder_whose_env_is_ours_is_the_home(tmp_path: Path) -> None:
    here, user = tmp_path / "here", tmp_path / "user"
    here.mkdir()
    (here / ".env").write_text('MODEL_MAP_FILE="maps/map.json"\n')
    found = Settings.load(environ={"HOME": str(user)}, cwd=here)
    assert (found.home, found.model_map_file) == (here, here / "maps/map.json")
    (here / ".env").write_text("OTHER=1\n")
    assert Settings.load(environ={"HOME": str(user)}, cwd=here).home == user / ".hoshikage"


def test_a_relative_path_is_relative_to_where_it_is_written(tmp_path: Path) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    (tmp_path / ".env").write_text("TAG_CACHE_FILE=a.json\n")
    environ = {"HOSHIKAGE_HOME": str(tmp_path), "MODEL_MAP_FILE": "b.json"}
    found = Settings.load(environ=environ, cwd=cwd)
    assert (found.tag_cache_file, found.model_map_file) == (tmp_path / "a.json", cwd / "b.json")


def test_variables_without_effect_are_listed(tmp_path: Path) -> None:
    assert load(tmp_path, SENTENCE_BERT_MODEL="x", OLLAMA_SCHED_SPREAD="1", N_CTX="0").ineffective == (
        "SENTENCE_BERT_MODEL",
        "OLLAMA_SCHED_SPREAD",
    )


@pytest.mark.parametrize("raw", ["0", "-1", "-5m"])
def test_a_load_timeout_of_zero_or_less_is_no_limit(tmp_path: Path, raw: str) -> None:
    assert load(tmp_path, OLLAMA_LOAD_TIMEOUT=raw).load_timeout_seconds == math.inf
    assert load(tmp_path, LOAD_TIMEOUT="1m", OLLAMA_LOAD_TIMEOUT=raw).load_timeout_seconds == 60


def test_strict_is_read_and_what_has_no_effect_is_named(tmp_path: Path) -> None:
    found = load(tmp_path, OLLAMA_STRICT="yes", OLLAMA_NOHISTORY="1")
    assert (found.strict, found.ineffective) == (True, ("OLLAMA_NOHISTORY",))
    assert load(tmp_path, OLLAMA_STRICT="F").strict is False


def test_quotes_and_spaces_around_a_value_are_not_part_of_it(tmp_path: Path) -> None:
    environ = {"HOSHIKAGE_HOME": f' "{tmp_path}" ', "HOSHIKAGE_LANG": "'en'", "N_CTX": '" 5 "', "RAMDISK_SIZE": '""'}
    found = Settings.load(environ=environ, cwd=tmp_path / "elsewhere")
    assert (found.home, found.language, found.n_ctx, found.ineffective) == (tmp_path, "en", 5, ())


def test_folders_of_models_are_separated_by_colons_or_commas(tmp_path: Path) -> None:
    assert load(tmp_path).model_paths == ()
    found = load(tmp_path, MODEL_PATHS=f"/a:~/b, c,:{tmp_path}/日本", OLLAMA_MODELS="store")
    assert found.model_paths == (Path("/a"), Path("~/b").expanduser(), tmp_path / "c", tmp_path / "日本")
    assert (found.ollama_models, load(tmp_path).ollama_models, found.ineffective) == (tmp_path / "store", None, ())


def test_a_flag_may_be_any_variable(tmp_path: Path) -> None:
    flags = {"HOSHIKAGE_HOME": str(tmp_path / "flag"), "N_BATCH": "8", "OLLAMA_HOST": ":1"}
    found = Settings.load(environ={"HOSHIKAGE_HOME": str(tmp_path), "N_BATCH": "9"}, cwd=tmp_path, flags=flags)
    assert (found.home, found.n_batch, found.port) == (tmp_path / "flag", 8, 1)


def test_an_env_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("N_CTX=1 # 星影\n".encode("shift_jis"))
    with pytest.raises(SettingsError, match="UTF-8") as caught:
        load(tmp_path)
    assert str(tmp_path / ".env") in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "ja"),
        ({"LANG": "C.UTF-8"}, "ja"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "HOSHIKAGE_LANG": "en"}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
    ],
)
def test_the_language_follows_the_locale(tmp_path: Path, environ: dict[str, str], language: str) -> None:
    assert load(tmp_path, **environ).language == language


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ("0.0.0.0", ("0.0.0.0", 11434)),
        ("http://box.local", ("box.local", 80)),
        ("https://box.local/x", ("box.local", 443)),
        (":8080", ("0.0.0.0", 8080)),
        ("[::1]:99", ("::1", 99)),
        ("::1", ("::1", 11434)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(raw: str, found: tuple[str, int]) -> None:
    assert split_host(raw) == found


def test_the_example_file_is_the_generated_one() -> None:
    assert (Path(__file__).parent.parent / ".env.example").read_text(encoding="utf-8") == example()


def test_another_projects_env_file_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"NAME=\xff\xfe\n")
    found = Settings.load(environ={"HOME": str(tmp_path / "user")}, cwd=tmp_path)
    assert found.home == tmp_path / "user/.hoshikage"
