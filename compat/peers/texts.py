"""What the servers are asked to read and to write: novel text, text to copy, and fresh long prompts for every round."""

import random

NOVEL_PENALTY = 1.2
"""repeat_penalty of novel text: without it a small model soon repeats itself, and the text is not novel."""

STORIES = (
    "Chapter 1\n\nIt was a cold morning in the harbour when Anna",
    "Dear Professor, I write to you from the mountains, where",
    "How to bake bread in the country, step by step, with all details:\n\n1.",
    'Two old friends met at the station. "You have not changed," said Peter.',
    "The caravan left the town before sunrise. Nobody spoke until the first well, and then",
    "Once upon a time a clockmaker lived in a village between two rivers. Every evening",
    "Diary of a ship's cook, first week.\n\nMonday. We left the port in heavy rain, and",
    "How to repair an old bicycle in the garden, step by step, with all tools:\n\n1.",
    "The detective looked at the open window and the wet carpet. She knew at once that",
    "A letter from my grandmother, who kept bees for fifty years:\n\nMy dear child,",
    "The expedition reached the island in the third month. On the beach they found",
    "Notes of a gardener through the year.\n\nJanuary. The ground is frozen, so",
    "In the year 2190 the last train to the north carried only four passengers. The first of them",
    "My uncle built violins in a cellar. When I was nine years old he showed me",
)

PASSAGE = """\
The old observatory stands on a ridge above the valley, where the road ends and the pines begin. In 1911 a \
teacher named Halvorsen carried the first telescope up there on a mule, together with eleven notebooks, a \
barometer and a stove. For forty years he wrote down the brightness of variable stars on every clear night, and \
the temperature on every other. His daughter Ingrid learned to read from those tables. When the roof fell in \
during the winter of 1952, she repaired it with planks from the abandoned dairy, and continued the series with \
her own hand: same columns, same abbreviations, blue ink instead of black. The valley below changed its name \
twice, lost its railway and gained a reservoir. The notebooks, thirty-seven of them by then, were lent to the \
university in 1978, copied on microfilm, and forgotten in a cabinet marked with the wrong year. A student found \
them there while she was looking for rainfall records."""

CODE = """\
class Ledger:
    def __init__(self, owner, currency):
        self.owner = owner
        self.currency = currency
        self.entries = []

    def deposit(self, amount, note):
        if amount <= 0:
            raise ValueError("the amount must be positive")
        self.entries.append(("deposit", amount, note))
        return self.balance()

    def withdraw(self, amount, note):
        if amount > self.balance():
            raise ValueError("the balance is too small")
        self.entries.append(("withdraw", amount, note))
        return self.balance()

    def balance(self):
        total = 0
        for kind, amount, note in self.entries:
            total += amount if kind == "deposit" else -amount
        return total

    def report(self):
        lines = [f"Ledger of {self.owner}, in {self.currency}"]
        for kind, amount, note in self.entries:
            lines.append(f"{kind:10} {amount:8.2f} {note}")
        lines.append(f"balance {self.balance():8.2f}")
        return "\\n".join(lines)
"""

COPYING = {
    "repeat this passage": f"Repeat this passage word for word.\n\nPassage:\n{PASSAGE}\n\nThe same, word for word:\n"
    + PASSAGE.partition(",")[0],
    "edit this code": f"Edit this code: rename the class Ledger to Account.\n\nBefore:\n\n{CODE}\nAfter:\n\n"
    + CODE.partition("\n        self.owner")[0].replace("Ledger", "Account"),
}

NOUNS = "river lamp tower garden wagon letter bridge kettle window forest ladder market harbour meadow candle".split()
VERBS = "carries hides follows paints repairs remembers crosses measures guards lends opens borrows".split()
ADJECTIVES = "old green narrow silent heavy bright broken distant early wooden cold patient".split()
PLACES = "behind the mill;under the bridge;near the station;in the valley;above the town;beside the road".split(";")
TOKENS_A_SENTENCE = 11.7  # of the sentences below, in both models' vocabularies


def fresh(seed: str, tokens: int) -> str:
    """About so many tokens that no server has seen before."""
    chance = random.Random(seed)
    count = round(tokens / TOKENS_A_SENTENCE)
    return f"Notes of {seed}. " + " ".join(sentence(chance) for _ in range(count))


def sentence(chance: random.Random) -> str:
    who, what = (f"{chance.choice(ADJECTIVES)} {chance.choice(NOUNS)}" for _ in range(2))
    return f"The {who} {chance.choice(VERBS)} the {what} {chance.choice(PLACES)}."
