"""`hoshikage key add|list|revoke|open`: the API keys of this home. A running server sees a change at once."""

import argparse
import time

from hoshikage.cli import human
from hoshikage.cli.text import say, warn
from hoshikage.keys import Key, Keys, Quota, Scope, keys_of
from hoshikage.settings import Settings

HELP = "make, list and revoke API keys"
HEADING = ("ID", "NAME", "SCOPES", "QUOTA", "CREATED", "LAST USED")
USAGE = 2


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=tuple(ACTIONS),
        help="add a key and print its secret, list keys, revoke one, or need none any more once all are revoked",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="of the key; revoke also takes its id")
    parser.add_argument(
        "--scopes",
        type=scopes,
        default=(Scope.CHAT,),
        help=f"what it may do, with commas: {', '.join(Scope)} (all); default chat",
    )

    parser.add_argument("--at-once", type=count, default=0, metavar="N", help="most requests at the same time")
    parser.add_argument("--per-minute", type=count, default=0, metavar="N", help="most requests a minute")


def count(raw: str) -> int:
    if not raw.isascii() or not raw.isdigit() or not int(raw):
        raise argparse.ArgumentTypeError(f"{raw!r}: a whole number from 1 is allowed")
    return int(raw)


def scopes(raw: str) -> tuple[Scope, ...]:
    try:
        return tuple(Scope(each.strip()) for each in raw.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{raw!r}: use {', '.join(Scope)}, with commas") from None


def execute(args: argparse.Namespace, settings: Settings) -> int:
    named = args.action in {"add", "revoke"}
    if named != bool(args.name):
        warn(settings.language, "error", message=f"hoshikage key {args.action}{' NAME' if named else ''}")
        return USAGE
    return ACTIONS[args.action](args, keys_of(settings), settings.language)


def add(args: argparse.Namespace, keys: Keys, language: str) -> int:
    """The secret alone goes to stdout, for `KEY=$(hoshikage key add NAME)`."""
    key, secret = keys.add(args.name, args.scopes, Quota(args.at_once, args.per_minute))
    warn(language, "key_added", name=human.printable(key.name), id=key.id, scopes=",".join(key.scopes))
    print(secret)
    return 0


def show(_args: argparse.Namespace, keys: Keys, _language: str) -> int:
    used, now = keys.uses.read(), time.time()
    rows = [
        (
            key.id,
            human.printable(key.name),
            ",".join(key.scopes),
            quota(key),
            human.moment(key.created or None, now),
            human.moment(used.get(key.id), now, "Never"),
        )
        for key in keys.ring().keys
    ]
    print(human.table(HEADING, rows), end="")
    return 0


def quota(key: Key) -> str:
    limits = ((key.at_once, "at once"), (key.per_minute, "a minute"))
    return ", ".join(f"{number} {what}" for number, what in limits if number) or "-"


def revoke(args: argparse.Namespace, keys: Keys, language: str) -> int:
    gone, left = keys.revoke(args.name)
    say(language, "key_revoked", name=human.printable(gone.name), id=gone.id)
    if not left:
        warn(language, "key_none_left")
    return 0


def unlock(_args: argparse.Namespace, keys: Keys, language: str) -> int:
    keys.open()
    if count := len(keys.ring().keys):
        warn(language, "key_still", count=count)
        return 1
    say(language, "key_open")
    return 0


ACTIONS = {"add": add, "list": show, "revoke": revoke, "open": unlock}
