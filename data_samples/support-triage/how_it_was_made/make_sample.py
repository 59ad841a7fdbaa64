"""Make the sample project from its handwritten texts: sources, planted faults, annotators' labels.

    python data_samples/support-triage/how_it_was_made/make_sample.py

Every text in the .jsonl files beside this script was written by hand for this purpose. What is
drawn at random (seeded) is which text gets which fault, and the votes of the five annotators: they
follow the true intent, with each annotator's habits as stated in ``VOTERS`` below.
"""

from __future__ import annotations

import csv
import json
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from scalekit.audit import audit
from scalekit.label import qualification

HERE = Path(__file__).parent
OUT = HERE.parent
SHARES = {
    "account_access": 0.12,
    "billing": 0.15,
    "cancellation": 0.08,
    "data_privacy": 0.08,
    "delivery": 0.17,
    "device_fault": 0.15,
    "product_question": 0.12,
    "returns": 0.13,
}
# annotator: (share of slips, median seconds, reads "call off this order" as)
VOTERS = {
    "ana": (0.04, 9.0, "cancellation"),
    "ben": (0.05, 11.0, "returns"),
    "chloe": (0.06, 8.0, "cancellation"),
    "dora": (0.05, 10.0, "returns"),
    "emil": (0.55, 2.2, "delivery"),
}
# The second delivery is labelled by two teams; to the evening team, asking for money is billing.
DAY, EVENING = ("ana", "ben", "chloe"), ("farid", "gwen", "hana")
SLIPS = {
    "account_access": ["data_privacy", "billing"],
    "billing": ["cancellation", "returns", "delivery"],
    "cancellation": ["billing", "account_access"],
    "data_privacy": ["account_access", "product_question"],
    "delivery": ["returns", "billing"],
    "device_fault": ["product_question", "returns"],
    "product_question": ["device_fault", "delivery"],
    "returns": ["delivery", "device_fault", "billing"],
}
WRONG_QUEUES = 14
PILOT, QUALIFICATION = 24, 12
RULE = "Calling off a single order, shipped or not, is returns; cancellation ends plans that renew."

Row = dict[str, Any]


def texts(name: str) -> list[Row]:
    lines = (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def first_round(draw: random.Random) -> tuple[list[Row], list[Row]]:
    """Return the rows of the first collection and those held back for the second."""
    rows = [{**r, "true": r["intent"]} for r in texts("messages")]
    draw.shuffle(rows)
    early, late, cancellations = [], [], 0
    for row in rows:
        cancellations += row["true"] == "cancellation"
        held = row["true"] == "data_privacy"
        held = held or (row["true"] == "cancellation" and cancellations > 12)
        (late if held else early).append(row)
    for row in texts("personal"):
        early.append({**row, "true": row["intent"], "fault": "personal data"})
    for row in texts("junk"):
        early.append({**row, "true": "", "intent": "delivery", "channel": "email", "fault": "junk"})
    draw.shuffle(early)
    return [r for r in early if r["true"] != "data_privacy"], late


def plant(rows: list[Row], draw: random.Random) -> list[Row]:
    """Add duplicates, near-duplicates, wrong queues, broken encodings, markup and leaks."""
    plain = [r for r in rows if "fault" not in r and r["true"] != "AMBIGUOUS"]
    long = [r for r in plain if len(r["text"].split()) >= 26 and r["channel"] == "email"]
    chosen = draw.sample(long, 14)
    added = []
    for row in chosen[:8]:
        shouted = row["text"].replace(".", " .") if draw.random() < 0.5 else row["text"]
        added.append({**row, "text": shouted, "fault": "exact duplicate"})
    for row in chosen[8:]:
        first, *rest = row["text"].split(" ")
        added.append(
            {**row, "text": " ".join([first, *rest[:-1], "now!"]), "fault": "near-duplicate"}
        )
    shared = draw.sample([r for r in plain if r["channel"] == "chat" and len(r["text"]) > 40], 4)
    added += [{**r, "channel": "email", "fault": "exact duplicate"} for r in shared]
    busy = {id(r) for r in chosen + shared}
    free = [r for r in plain if id(r) not in busy and r["channel"] == "email"]
    common = ("billing", "delivery", "returns", "device_fault")
    for row in draw.sample([r for r in free if r["true"] in common], WRONG_QUEUES):
        row["intent"] = draw.choice([SLIPS[row["true"]][-1], "product_question"])
        row["fault"] = "wrong queue"
    accents = [r for r in free if "fault" not in r and ("’" in r["text"] or "£" in r["text"])]
    for row in accents[:3]:
        row["text"] = row["text"].encode().decode("cp1252", errors="ignore")
        row["fault"] = "broken encoding"
    hidden = next(r for r in free if "fault" not in r and len(r["text"]) > 80)
    hidden["text"] = hidden["text"].replace(" ", " \u200b", 3)
    hidden["fault"] = "invisible characters"
    forum = [r for r in plain if r["channel"] == "forum" and "fault" not in r]
    forum[0]["text"] += ' <script>alert("hello")</script><img src=x onerror=alert(1)>'
    forum[0]["fault"] = "markup"
    return rows + added + leaks()


def leaks() -> list[Row]:
    """Forum posts that quote handwritten examples: test items in the collected text."""
    short = {"data_privacy", "cancellation"}  # they stay missing and thin in the first round
    examples = [e for e in texts("examples") if e["kind"] == "ideal" and e["intent"] not in short]
    examples = [e for e in examples if len(e["text"].split()) > 12]
    quoted = [examples[i] for i in (1, 5, 9, 13)]
    out = []
    for i, example in enumerate(quoted):
        said = example["text"]
        if i == 3:
            said = f"saw this on their help page and it is exactly my problem: {said} any ideas?"
        out.append({"text": said, "true": example["intent"], "intent": example["intent"],
                    "channel": "forum", "fault": "leak"})  # fmt: skip
    return out


def write_csv(name: str, rows: list[Row], delimiter: str = ",") -> None:
    with (OUT / name).open("w", encoding="utf-8", newline="") as stream:
        out = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator="\n")
        out.writeheader()
        out.writerows(rows)


def write_jsonl(name: str, rows: list[Row | str]) -> None:
    lines = [r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in rows]
    (OUT / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def queue_of(row: Row) -> str:
    return "returns" if row["intent"] == "AMBIGUOUS" else row["intent"]


def write_sources(rows: list[Row], late: list[Row], draw: random.Random) -> list[Row]:
    """Write the source files and return every row with its id and batch."""
    start = datetime(2026, 8, 3, 8, 0)
    for row in rows + late:
        row["when"] = (start + timedelta(minutes=draw.randrange(60 * 24 * 55))).isoformat()[:16]
    by = {c: [r for r in rows if r["channel"] == c] for c in ("email", "chat", "forum")}
    for channel in by.values():
        draw.shuffle(channel)
    names = {"email": ("helpdesk", "T-{:04d}"), "chat": ("chat", "C-{:04d}"),
             "forum": ("forum", "P-{:04d}")}  # fmt: skip
    for channel, (batch, pattern) in names.items():
        for i, row in enumerate(by[channel], 1001):
            row["id"], row["batch"] = pattern.format(i), batch
    for i, row in enumerate(late, 1001):
        row["id"], row["batch"] = f"R-{i:04d}", "requests"
    write_csv("helpdesk_export.csv", [
        {"ticket": r["id"], "received": r["when"], "queue": queue_of(r), "message": r["text"]}
        for r in by["email"]
    ])  # fmt: skip
    chat: list[Row | str] = [
        {"id": r["id"], "started": r["when"], "topic": queue_of(r), "text": r["text"]}
        for r in by["chat"]
    ]
    chat.insert(40, '{"id": "C-0998", "started": "2026-09-02T10:11", "text": "where is my')
    chat.insert(
        77, {"id": "C-0999", "started": "2026-09-14T16:40", "topic": "billing", "text": " "}
    )
    write_jsonl("partner_chat.jsonl", chat)
    write_csv("forum_posts.csv", [
        {"post": r["id"], "tag": queue_of(r), "body": r["text"]} for r in by["forum"]
    ], delimiter=";")  # fmt: skip
    write_csv("requests_inbox.csv", [
        {"ticket": r["id"], "received": r["when"], "queue": queue_of(r), "message": r["text"]}
        for r in late
    ])  # fmt: skip
    made = [{**r, "true": "delivery", "batch": "synthetic", "id": f"S-{i:04d}", "fault": "padding"}
            for i, r in enumerate(texts("synthetic"), 1001)]  # fmt: skip
    shown = [{"id": r["id"], "topic": "delivery", "text": r["text"]} for r in made]
    write_jsonl("synthetic_delivery.jsonl", shown)
    write_csv("review_scrape.csv", [{"review": r["text"]} for r in texts("reviews")])
    return [*rows, *late, *made]


def vote(name: str, row: Row, draw: random.Random) -> str:
    slips, _, reading = VOTERS[name]
    true = row["true"]
    if name == "emil":
        careful = true.replace("AMBIGUOUS", reading)
        return draw.choice(list(SHARES)) if draw.random() < slips else careful
    if true == "AMBIGUOUS":
        return reading if draw.random() < 0.93 else "returns"
    return draw.choice(SLIPS[true]) if draw.random() < slips else true


def seconds(name: str, row: Row, draw: random.Random) -> float:
    pace = VOTERS[name][1]
    return round(max(0.8, draw.lognormvariate(0, 0.35) * pace * (0.6 + len(row["text"]) / 250)), 1)


def write_labels(every: list[Row], draw: random.Random) -> list[Row]:
    """Write two rounds of votes on the items that the audit keeps; return those items."""
    tiers = {"forum": "public-web", "chat": "licensed"}
    order = ["helpdesk", "chat", "forum", "requests"]
    rows = [r for r in every if r["batch"] in order]
    rows.sort(key=lambda r: (order.index(r["batch"]), r["id"]))  # as the project collects them
    frame = pl.DataFrame(
        {
            "item_id": [r["id"] for r in rows],
            "text": [r["text"] for r in rows],
            "batch_id": [r["batch"] for r in rows],
            "category": [queue_of(r) for r in rows],
            "tier": [tiers.get(r["batch"], "first-party") for r in rows],
        }
    )
    kept = set(audit(frame, SHARES).kept["item_id"])
    rows = [r for r in rows if r["id"] in kept]
    first, second = [], []
    for name in VOTERS:
        clock = datetime(2026, 10, 5, 9, 0)
        for row in draw.sample(rows, len(rows)):
            took = seconds(name, row, draw)
            clock += timedelta(seconds=took + 1)
            first.append({"item_id": row["id"], "annotator": name, "value": vote(name, row, draw),
                          "seconds": took, "at": clock.isoformat(timespec="seconds")})  # fmt: skip
    said: dict[str, set[str]] = {}
    for label in first:
        if label["annotator"] != "emil":
            said.setdefault(label["item_id"], set()).add(label["value"])
    torn = [r for r in rows if {"cancellation", "returns"} <= said[r["id"]]]
    for name in ("ana", "ben", "chloe", "dora"):
        clock = datetime(2026, 10, 12, 9, 0)
        for row in torn:
            took = seconds(name, row, draw)
            clock += timedelta(seconds=took + 1)
            value = "returns" if row["true"] == "AMBIGUOUS" else row["true"]
            second.append({"item_id": row["id"], "annotator": name, "value": value,
                           "seconds": took, "at": clock.isoformat(timespec="seconds")})  # fmt: skip
    write_csv("labels_round1.csv", first)
    write_csv("labels_round2.csv", second)
    return rows


def write_pilot(rows: list[Row], draw: random.Random) -> None:
    """Write what the researcher labelled and decided, and the qualification of the annotators.

    In a qualification everybody is careful: two slips in a hundred, whatever their habits.
    """
    clear = [r for r in rows if r["true"] != "AMBIGUOUS"]
    pilot = sorted(draw.sample(clear, PILOT), key=lambda r: r["id"])
    write_csv("pilot.csv", [{"item_id": r["id"], "value": r["true"]} for r in pilot])
    asked = qualification([r["id"] for r in pilot], list(VOTERS), count=QUALIFICATION, seed=0)
    rows_by_id = {r["id"]: r for r in pilot}
    answers = []
    for name in VOTERS:
        clock = datetime(2026, 10, 2, 9, 0)
        for item in asked.filter(pl.col("annotator") == name)["item_id"]:
            row = rows_by_id[item]
            slip = draw.random() < 0.02
            took = round(draw.lognormvariate(2.4, 0.3), 1)
            clock += timedelta(seconds=took + 1)
            said = draw.choice(SLIPS[row["true"]]) if slip else row["true"]
            at = clock.isoformat(timespec="seconds")
            answers.append({"item_id": row["id"], "annotator": name, "value": said,
                            "seconds": took, "at": at})  # fmt: skip
    write_csv("labels_qualification.csv", answers)
    torn = [r["id"] for r in rows if r["true"] == "AMBIGUOUS"][:3]
    write_csv("resolutions.csv", [
        {"item_id": i, "value": "returns", "reason": "guideline gap", "rule": RULE} for i in torn
    ])  # fmt: skip


def write_november() -> list[Row]:
    """Write the second delivery: the inbox of a month, labelled by two teams, and how the evening
    team labels it once they know that money back for goods is returns; return its rows."""
    draw = random.Random(11)
    start = datetime(2026, 10, 14, 8, 0)
    rows = texts("november")
    draw.shuffle(rows)
    seen: dict[str, int] = {}
    for i, row in enumerate(rows, 1001):
        row["id"], row["batch"] = f"N-{i:04d}", "november"
        row["when"] = (start + timedelta(minutes=draw.randrange(60 * 24 * 28))).isoformat()[:16]
        row["true"] = "returns" if row["intent"] == "REFUND" else row["intent"]
        seen[row["intent"]] = seen.get(row["intent"], 0) + 1
        row["team"] = EVENING if seen[row["intent"]] % 2 else DAY
        if row["intent"] == "REFUND" and row["team"] == EVENING:
            row["fault"] = "a team that reads the guideline otherwise"
    write_csv("november_inbox.csv", [
        {"ticket": r["id"], "received": r["when"], "queue": r["true"], "message": r["text"]}
        for r in rows
    ])  # fmt: skip
    first, again = [], []
    for name in (*DAY, *EVENING):
        mine = [r for r in rows if name in r["team"]]
        for out, day, known in ((first, 16, name in DAY), (again, 19, True)):
            clock = datetime(2026, 11, day, 9 if name in DAY else 18, 0)
            for row in draw.sample(mine, len(mine)):
                took = round(draw.lognormvariate(0, 0.35) * (5 + len(row["text"]) / 25), 1)
                clock += timedelta(seconds=took + 1)
                value = row["true"]
                if not known and "fault" in row and draw.random() < 0.94:
                    value = "billing"
                elif draw.random() < 0.05:
                    value = draw.choice(SLIPS[value])
                at = clock.isoformat(timespec="seconds")
                out.append({"item_id": row["id"], "annotator": name, "value": value,
                            "seconds": took, "at": at})  # fmt: skip
    checked = sorted(draw.sample(rows, len(rows) // 5), key=lambda r: r["id"])
    write_csv("checks_november.csv", [{"item_id": r["id"], "value": r["true"]} for r in checked])
    write_csv("labels_november.csv", first)
    write_csv("labels_november_again.csv", [r for r in again if r["annotator"] in EVENING])
    return rows


def write_pairs(draw: random.Random) -> None:
    pairs = [{"pair_id": f"pair-{i:03d}", **p} for i, p in enumerate(texts("pairs"), 1)]
    shown = ("pair_id", "prompt", "response_a", "response_b")
    write_csv("preference_pairs.csv", [{k: p[k] for k in shown} for p in pairs])
    votes = []
    for pair in pairs:
        for name in ("ana", "ben", "chloe"):
            torn = draw.random() < 0.12 or pair["better"] == "tie"
            value = draw.choice(["a", "b", "tie"]) if torn else pair["better"]
            votes.append({"item_id": pair["pair_id"], "annotator": name, "value": value})
    write_csv("preference_labels.csv", votes)


def main() -> None:
    """Write every file of the sample."""
    draw = random.Random(2026)
    early, late = first_round(draw)
    every = write_sources(plant(early, draw), late, draw)
    rows = write_labels(every, draw)
    write_pairs(draw)
    write_pilot(rows, random.Random(7))
    every += write_november()
    faults: dict[str, list[str]] = {}
    for row in every:
        if "fault" in row:
            faults.setdefault(row["fault"], []).append(row["id"])
        if row["true"] == "AMBIGUOUS":
            faults.setdefault("ambiguous guideline", []).append(row["id"])
    planted = {k: sorted(v) for k, v in sorted(faults.items())}
    (HERE / "planted.json").write_text(json.dumps(planted, indent=1) + "\n", encoding="utf-8")
    write_csv("how_it_was_made/truth.csv", [
        {"item_id": r["id"], "intent": "returns" if r["true"] == "AMBIGUOUS" else r["true"]}
        for r in every if r["true"]
    ])  # fmt: skip


if __name__ == "__main__":
    main()
