"""How long `huntaze rules check` takes over many files.

    python benchmarks/check.py [--files 1000] [--rounds 3]

A folder of the shipped rules and as many more files: two fifths segments, two fifths automations,
a tenth each templates and campaigns, one in a hundred with a fault. The bare engine is PyYAML's C
loader over the same files. Seconds are of one processor (there is one thread), so that a busy
machine does not count. Interleaved rounds, the median counts; prints one JSON line.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import yaml

from huntaze_pipeline.rulebook import conditions, loader
from huntaze_pipeline.settings import load

SEGMENT = """name: Segment {i}
where: >-
  fan.purchases > {i} and days_since(fan.last_active_at) <= 30
  and performed('purchase', within => '30d', at_least => 2, where => amount > {i})
  and not in_segment('vip')
"""
AUTOMATION = """name: Automation {i}
trigger: {{event: purchase, platform: [onlyfans]}}
conditions: event.value >= {i} and (fan.locale in ('en', 'fr') or has_tag('t{i}'))
entry: {{every: 7d}}
steps:
  - send: content_poll
  - wait: 3d
  - if: performed('opened', within => '3d')
    then:
      - send: {{content: "Hi {{{{ fan.first_name or 'you' }}}} {i}", topic: service}}
    else:
      - tag: quiet
"""
CAMPAIGN = """name: Campaign {i}
platforms: [onlyfans, email]
template: flash_sale
targeting: {{segments: [vip, s{i}], cap: 5000}}
variables: {{percent: 20}}
"""


def write(folder: Path, files: int) -> int:
    """Fill a folder of rules; return how many faults there are to find."""
    teaser = (folder / "templates/content_teaser.yaml").read_text("utf-8")
    faults = 0
    for i in range(files):
        kind = "ssssaaaact"[i % 10]
        text = {"s": SEGMENT, "a": AUTOMATION, "c": CAMPAIGN}.get(kind, "").format(i=i) or teaser
        if i % 100 == 1:
            text, faults = text.replace("fan.purchases", "fan.purchasse"), faults + 1
        place = {"s": "segments", "a": "automations", "c": "campaigns", "t": "templates"}[kind]
        text = text.replace(f"s{i}]", f"s{i - i % 10}]")
        (folder / place / f"{kind}{i}.yaml").write_text(text, "utf-8")
    return faults


def checked(folder: Path) -> float:
    """Return the seconds of one check by a fresh process's caches."""
    conditions._parsed.cache_clear()
    begun = time.process_time()
    loader.drafted(folder)
    return time.process_time() - begun


def parsed(folder: Path) -> float:
    """Return the seconds that PyYAML needs for the same files."""
    begun = time.process_time()
    for path in folder.glob("*/*.yaml"):
        yaml.load(path.read_text("utf-8"), Loader=yaml.CSafeLoader)
    return time.process_time() - begun


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "rules"
        shutil.copytree(load().rules_dir, folder)
        faults = write(folder, asked.files)
        found = len(loader.drafted(folder).problems)
        ours, bare = [], []
        for _ in range(asked.rounds):
            ours.append(checked(folder))
            bare.append(parsed(folder))
        files = len(list(folder.glob("*/*.yaml")))
    told = {
        "benchmark": "check", "files": files, "faults_written": faults, "faults_found": found,
        "ours_s": round(statistics.median(ours), 3), "yaml_s": round(statistics.median(bare), 3),
        "ratio": round(statistics.median(ours) / statistics.median(bare), 2),
        "mark": "1,000 files in at most 5 s", "met": statistics.median(ours) <= 5,
    }  # fmt: skip
    print(json.dumps(told))


if __name__ == "__main__":
    main()
