#!/bin/sh
# Everything in this folder but the checkpoints and the examples, anew: the study, its companions, the ablations, the
# tables, the findings and the picture. Says how long each took. Run it as: make data
# After an interruption, make data RESUME=1 goes on.
set -e
cd "$(dirname "$0")/.."
bin=${BIN:-.venv/bin}
began=$(date +%s)

step() {
    start=$(date +%s)
    "$@"
    echo "$(($(date +%s) - start)) s: $*"
}

tables() {
    "$bin/recover-nb" evaluate data/study.zarr.zip > data/study.txt
}

if [ -z "$RESUME" ]; then
    for each in study redrawn remapped fresh unseen; do
        rm -rf "data/$each.zarr.zip" "data/$each.zarr.partial" "data/$each.whole.zarr" "data/$each.whole.zarr.partial"
    done
    rm -rf data/ablations.json data/ablations.json.partial data/seed_*.zarr* data/onward.zarr.zip runs/onward
    rm -rf data/cued.zarr.zip runs/cued data/steps.zarr.zip runs/steps
fi
# Waits for what runs side by side; fails if any of it did.
both() {
    for each in $running; do wait "$each"; done
    running=
}

step "$bin/recover-nb" run --out data/study.zarr.zip --workers 2 --resume
running=
step "$bin/recover-nb" remap --out data/remapped.zarr.zip --resume &
running="$running $!"
step "$bin/recover-nb" remap --redraw --out data/redrawn.zarr.zip --resume &
running="$running $!"
both
step "$bin/recover-nb" remap --redraw --seed 2 --problems 150 --keep-attempts --out data/fresh.zarr.zip --resume \
    --intervention sparse_steer sparse_steer_random local_temperature dense_steer temperature dense_sample
# Other problems, one observed answer each.
step "$bin/recover-nb" remap --redraw --problem-seed 1 --seed 3 --problems 150 --rollouts 1 --attempts 12 \
    --keep-attempts --intervention ancestor temperature dense_sample sparse_steer \
    --out data/unseen.zarr.zip --resume
# More seeds of post-training for one family: trained once, asked as the redrawn companion asks.
for seed in 1 2; do
    lab=runs/seeds/$seed
    if [ ! -e "$lab/neox/self_distill/README.md" ]; then
        step "$bin/recover-nb" train --family neox --method sft grpo self_distill --seed $seed \
            --ancestors data/lab --out "$lab" &
        running="$running $!"
    fi
done
both
for seed in 1 2; do
    step "$bin/recover-nb" remap --redraw --family neox --lab "runs/seeds/$seed" \
        --out "data/seed_$seed.zarr.zip" --resume &
    running="$running $!"
done
both
# Going on with training from every specialist takes about 50 minutes of a quiet core; its state is gone on with.
[ -e data/onward.zarr.zip ] || step "$bin/recover-nb" train --onward --out data/onward.zarr.zip --work runs/onward --workers 2
# Traces with cues and without: a few minutes of a quiet core.
[ -e data/cued.zarr.zip ] || step "$bin/recover-nb" train --cued --out data/cued.zarr.zip --work runs/cued
# Steps of answers, read and gone on from: about 10 minutes of a quiet core.
[ -e data/steps.zarr.zip ] || step "$bin/recover-nb" steps --out data/steps.zarr.zip
step "$bin/recover-nb" ablate --out data/ablations.json --resume
step tables
step "$bin/recover-nb" findings
step "$bin/python" docs/screenshot.py
echo "$((($(date +%s) - began) / 60)) min in all"
